// The map of a latent space with two dimensions. Loaded with `live.load("latent-map")`.
(function () {
  "use strict";
  const live = window.VaeLive;
  const MARGIN = { left: 40, bottom: 40, top: 6, right: 6 }; // for the axes
  const CLASS_COLOURS = ["blue", "orange", "green", "pink", "yellow", "ink", "sky"];
  const GRID = 15; // decoded digits in a row of the map's background

  // The map: a square canvas of `size` units that shows z from −edge to edge in both dimensions,
  // with the test images' means. `over(context, colours, scale)` draws on top of it; `scale` is
  // the units in a CSS pixel. `place(z)` and `z(x, y)` translate, `unit` is the length of 1.
  function latentMap(model, size, attributes, over) {
    const view = project(model.edge, size);
    const still = document.createElement("canvas"); // what does not move
    const grid = decodedGrid(model);
    let digits = false;
    let drawn = "";
    const area = live.canvas(size, size, attributes, (context, colours) => {
      const { width, height } = context.canvas;
      const scale = (size * (window.devicePixelRatio || 1)) / width;
      const key = [width, digits, ...Object.values(colours)].join();
      if (key !== drawn) {
        drawn = key;
        [still.width, still.height] = [width, height];
        const below = still.getContext("2d");
        below.setTransform(context.getTransform());
        if (digits) below.drawImage(grid(colours), view.left, view.top, view.inner, view.inner);
        drawAxes(below, view, colours, scale);
        drawPoints(below, model, view, colours, digits ? 0.35 : 0.6);
        if (!digits) drawNames(below, model, view, colours, scale);
      }
      context.save();
      context.resetTransform();
      context.drawImage(still, 0, 0);
      context.restore();
      over(context, colours, scale);
    });
    const showDigits = (on) => {
      digits = on;
      area.redraw();
    };
    return { ...area, ...view, showDigits };
  }

  function project(edge, size) {
    const inner = size - MARGIN.left - MARGIN.right;
    const { left, top } = MARGIN;
    const unit = inner / (2 * edge);
    const clamp = (v) => Math.min(edge, Math.max(-edge, v));
    return {
      edge, size, inner, left, top, unit,
      place: ([a, b]) => [left + (a + edge) * unit, top + (edge - b) * unit],
      z: (x, y) => [clamp((x - left) / unit - edge), clamp(edge - (y - top) / unit)],
    };
  }

  function drawAxes(context, view, colours, scale) {
    const { left, top, inner, edge, place, size } = view;
    const write = (text, x, y, align, baseline) => {
      [context.textAlign, context.textBaseline] = [align, baseline];
      context.fillText(text, x, y);
    };
    context.strokeStyle = context.fillStyle = colours.ink;
    context.lineWidth = scale;
    context.strokeRect(left, top, inner, inner);
    context.font = `${12 * scale}px system-ui, sans-serif`;
    for (let at = Math.ceil(-edge / 2) * 2; at <= edge; at += 2) {
      const [x, y] = place([at, at]);
      const text = String(at).replace("-", "−");
      write(text, x, top + inner + 4, "center", "top");
      write(text, left - 5, y, "right", "middle");
    }
    write("z₁", place([1, 0])[0], size - 2, "center", "bottom");
    write("z₂", 2, place([0, 1])[1], "left", "middle");
    context.setLineDash([4, 4]); // one and two standard deviations of the prior
    context.strokeStyle = colours.faint;
    for (const radius of [1, 2]) {
      context.beginPath();
      context.arc(...place([0, 0]), radius * view.unit, 0, 2 * Math.PI);
      context.stroke();
    }
    context.setLineDash([]);
  }

  function drawPoints(context, model, view, colours, alpha) {
    context.globalAlpha = alpha;
    for (let label = 0; label < 10; label++) {
      context.fillStyle = colours[CLASS_COLOURS[label % CLASS_COLOURS.length]];
      context.beginPath();
      model.labels.forEach((own, n) => {
        const z = model.means.subarray(2 * n, 2 * n + 2);
        if (own === label) mark(context, label, ...view.place(z), 2.4);
      });
      context.fill();
    }
    context.globalAlpha = 1;
  }

  // The digit of each class near the middle of its points.
  function drawNames(context, model, view, colours, scale) {
    context.font = `bold ${16 * scale}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 5 * scale;
    context.lineJoin = "round";
    context.strokeStyle = colours.paper;
    context.fillStyle = colours.ink;
    model.centres.forEach((centre, label) => {
      context.strokeText(label, ...view.place(centre));
      context.fillText(label, ...view.place(centre));
    });
  }

  // What the decoder draws over the whole map, as one picture; made when first asked for.
  function decodedGrid(model) {
    const { SIDE, paint } = live.files["small-vae"];
    const pictures = [];
    return (colours) => {
      const sheet = document.createElement("canvas");
      sheet.width = sheet.height = GRID * SIDE;
      const context = sheet.getContext("2d");
      const at = (n) => (((n + 0.5) * 2) / GRID - 1) * model.edge; // the middle of a cell
      for (let n = 0; n < GRID * GRID; n++) {
        const [row, column] = [Math.floor(n / GRID), n % GRID];
        pictures[n] ||= model.decode([at(column), -at(row)]);
        context.putImageData(paint(pictures[n], colours), column * SIDE, row * SIDE);
      }
      return sheet;
    };
  }

  // A posterior: ellipses of one and of two σ, samples as points, and one z in a ring. `view`
  // has `place` and `unit`.
  function drawPosterior(context, view, { mu, sigma, samples, ringed }, colours, scale) {
    const trace = (draw, colour, width) => {
      for (const [more, style] of [[3, colours.paper], [0, colour]]) {
        context.lineWidth = (width + more) * scale;
        context.strokeStyle = style;
        context.beginPath();
        draw();
        context.stroke();
      }
    };
    context.fillStyle = colours.ink;
    for (const z of samples) {
      const [x, y] = view.place(z);
      context.fillRect(x - 1.5 * scale, y - 1.5 * scale, 3 * scale, 3 * scale);
    }
    for (const [times, dash] of [[1, []], [2, [5 * scale, 3 * scale]]]) {
      const radii = sigma.map((s) => times * s * view.unit);
      context.setLineDash(dash);
      const ellipse = () => context.ellipse(...view.place(mu), ...radii, 0, 0, 2 * Math.PI);
      trace(ellipse, colours.ink, 1.5);
    }
    context.setLineDash([]);
    trace(() => context.arc(...view.place(ringed), 6 * scale, 0, 2 * Math.PI), colours.orange, 2);
  }

  // The path of one of ten marks with radius r; the classes differ by it as well as by colour.
  function mark(context, label, x, y, r) {
    const polygon = (...corners) => {
      corners.forEach(([u, v], n) => context[n ? "lineTo" : "moveTo"](x + u * r, y + v * r));
      context.closePath();
    };
    const cross = (turn) => {
      const arm = [[0.4, -0.4], [0.4, -1.1], [-0.4, -1.1], [-0.4, -0.4]];
      const spin = ([u, v], q) => (q ? spin([v, -u], q - 1) : [u, v]);
      const corners = [0, 1, 2, 3].flatMap((q) => arm.map((corner) => spin(corner, q)));
      const [c, s] = [Math.cos(turn), Math.sin(turn)];
      polygon(...corners.map(([u, v]) => [c * u - s * v, s * u + c * v]));
    };
    const star = () =>
      polygon(...Array.from({ length: 10 }, (_, n) => {
        const far = n % 2 ? 0.5 : 1.3;
        return [far * Math.sin((n * Math.PI) / 5), -far * Math.cos((n * Math.PI) / 5)];
      }));
    const shapes = [
      () => { context.moveTo(x + r, y); context.arc(x, y, r, 0, 2 * Math.PI); },
      () => polygon([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]),
      () => polygon([0, -1.1], [1.1, 0.9], [-1.1, 0.9]),
      () => polygon([0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]),
      () => polygon([0, 1.1], [1.1, -0.9], [-1.1, -0.9]),
      () => cross(0),
      () => cross(Math.PI / 4),
      star,
      () => polygon([-1.1, 0], [0.9, 1.1], [0.9, -1.1]),
      () => polygon([1.1, 0], [-0.9, 1.1], [-0.9, -1.1]),
    ];
    shapes[label]();
  }

  live.files["latent-map"] = { latentMap, drawPosterior };
})();
