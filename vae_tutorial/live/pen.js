// A drawing area, and from its strokes to a picture as MNIST has them. Loaded with
// `live.load("pen")`.
(function () {
  "use strict";
  const SIDE = 28;
  const BOX = 20; // MNIST fits the ink into 20 × 20 pixels …
  const MIDDLE = 14; // … and puts its centre of mass here; pixels are 0, 1, …, 27
  const EDGE = 1.3; // pixels over which ink fades to paper, as in the stroke digits
  const LARGEST = 0.4; // pixels for one unit of the drawing: a dot does not become a blob

  // The ink of strokes, lists of [x, y] in pixels, drawn by a pen of this width: 784 numbers from
  // 0 to 1. A pixel's ink falls with its distance to the nearest piece of a stroke.
  function ink(strokes, width) {
    const reach = (width + EDGE) / 2;
    const nearest = new Float64Array(SIDE * SIDE).fill(reach);
    const clip = (v) => Math.min(SIDE - 1, Math.max(0, v));
    const piece = ([x0, y0], [x1, y1]) => {
      const [dx, dy] = [x1 - x0, y1 - y0];
      const square = dx * dx + dy * dy || 1;
      const [left, right] = [Math.min(x0, x1) - reach, Math.max(x0, x1) + reach];
      const [top, bottom] = [Math.min(y0, y1) - reach, Math.max(y0, y1) + reach];
      for (let y = clip(Math.ceil(top)); y <= clip(Math.floor(bottom)); y++) {
        for (let x = clip(Math.ceil(left)); x <= clip(Math.floor(right)); x++) {
          const along = ((x - x0) * dx + (y - y0) * dy) / square;
          const t = Math.min(1, Math.max(0, along)); // the nearest point of the piece
          const away = Math.hypot(x - x0 - t * dx, y - y0 - t * dy);
          if (away < nearest[y * SIDE + x]) nearest[y * SIDE + x] = away;
        }
      }
    };
    for (const stroke of strokes) {
      if (stroke.length === 1) piece(stroke[0], stroke[0]);
      for (let n = 1; n < stroke.length; n++) piece(stroke[n - 1], stroke[n]);
    }
    return nearest.map((away) => Math.min(1, (reach - away) / EDGE));
  }

  // The centre of mass of 784 pixels: [x, y].
  function centre(pixels) {
    let [mass, x, y] = [0, 0, 0];
    pixels.forEach((value, i) => {
      mass += value;
      x += value * (i % SIDE);
      y += value * Math.floor(i / SIDE);
    });
    return [x / mass, y / mass];
  }

  // 784 grey values of a drawing in any units: the longer side of its ink made 20 pixels, its
  // centre of mass in the middle. The pen keeps its width, so small drawings are not bolder.
  function normalise(strokes, width) {
    if (!strokes.length) return new Float32Array(SIDE * SIDE);
    const all = strokes.flat();
    const range = (d) => {
      const values = all.map((point) => point[d]);
      return [Math.min(...values), Math.max(...values)];
    };
    const [[left, right], [top, bottom]] = [range(0), range(1)];
    const scale = Math.min(LARGEST, (BOX - width) / (Math.max(right - left, bottom - top) || 1e-9));
    let [x, y] = [(left + right) / 2, (top + bottom) / 2]; // what comes to the middle
    let pixels;
    for (let round = 0; round < 5; round++) { // ink that the frame cuts off moves the mass a little
      const placed = strokes.map((stroke) =>
        stroke.map((point) => [MIDDLE + (point[0] - x) * scale, MIDDLE + (point[1] - y) * scale]),
      );
      pixels = ink(placed, width);
      const [cx, cy] = centre(pixels);
      x += (cx - MIDDLE) / scale;
      y += (cy - MIDDLE) / scale;
    }
    return pixels;
  }

  // A drawing area of `size` × `size` units for mouse, finger and keys. `onchange(drawing)` is
  // told of every change, and whether the pen is still on the paper.
  function pad(size, attributes, onchange) {
    const live = window.VaeLive;
    let strokes = []; // lists of [x, y]
    let drawing = false;
    let cursor = [size / 2, size / 2];
    const area = live.canvas(size, size, attributes, (context, colours) => {
      drawStrokes(context, strokes, state.width, colours.ink);
      if (document.activeElement === area.element) drawCross(context, cursor, colours);
    });
    const state = { ...area, width: 26, strokes: () => strokes, put, undo };

    function put(next) {
      strokes = next;
      drawing = false;
      changed();
    }
    function undo() {
      put(strokes.slice(0, -1));
    }
    function changed() {
      area.redraw();
      onchange(drawing);
    }
    function begin(...points) {
      drawing = true;
      strokes.push(points);
    }
    function lift() {
      if (drawing) put(strokes.filter((stroke) => stroke.length));
    }
    const on = (name, listener) => area.element.addEventListener(name, listener);
    on("pointerdown", (event) => event.isPrimary && begin()); // `draggable` adds the points
    on("pointerup", lift);
    on("pointercancel", lift);
    on("focus", area.redraw);
    on("blur", () => (lift(), area.redraw()));
    on("keydown", (event) => {
      if (event.key === "Backspace") undo();
      if (event.key !== " ") return;
      event.preventDefault();
      if (drawing) return lift();
      begin(cursor);
      changed();
    });
    live.draggable(area.element, [size, size], {
      get: () => cursor,
      set: (x, y) => {
        cursor = [x, y].map((v) => Math.min(size, Math.max(0, v)));
        if (!drawing) return area.redraw();
        strokes.at(-1).push(cursor);
        changed();
      },
    });
    return state;
  }

  function drawStrokes(context, strokes, width, colour) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of strokes) {
      context.beginPath();
      for (const point of [stroke[0], ...stroke]) context.lineTo(...point);
      context.stroke();
    }
  }

  // Where the arrow keys draw.
  function drawCross(context, [x, y], colours) {
    context.beginPath();
    for (const [u, v] of [[12, 0], [0, 12]]) {
      context.moveTo(x - u, y - v);
      context.lineTo(x + u, y + v);
    }
    for (const [width, colour] of [[7, colours.paper], [3, colours.orange]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  VaeLive.files.pen = { ink, centre, normalise, pad };
})();
