// Live figures: what all of them share. A figure is a function `mount(root, options, live)` that
// fills the element `root`; it registers itself under a name. Until it is mounted, and where it
// cannot be, `root` shows a still picture.
(function () {
  "use strict";
  if (window.VaeLive) return; // several outputs of one notebook bring the same script
  const script = document.currentScript;
  const folder = script && script.src ? script.src.replace(/[^/]*$/, "") : null;
  const figures = {}; // name -> mount
  const files = {}; // name -> what a data script has put here
  const loading = {}; // name -> promise

  // The data of `name`: there already, or fetched by a script element, which works from disk too.
  function load(name) {
    if (files[name]) return Promise.resolve(files[name]);
    loading[name] ||= new Promise((resolve, reject) => {
      if (!folder) return reject(new Error(`no data named ${name}`));
      const element = document.createElement("script");
      element.src = `${folder}${name}.js`;
      element.onload = () =>
        files[name] ? resolve(files[name]) : reject(new Error(`${name}.js holds no ${name}`));
      element.onerror = () => reject(new Error(`${name}.js cannot be loaded`));
      document.head.append(element);
    });
    return loading[name];
  }

  // Mount the figures of the page as they come near the window.
  function mountAll() {
    for (const root of document.querySelectorAll(".live-figure[data-live]:not([data-state])")) {
      if (!figures[root.dataset.live]) continue;
      root.dataset.state = "pending";
      const near = new IntersectionObserver(
        (entries) => {
          if (!entries.some((entry) => entry.isIntersecting)) return;
          near.disconnect();
          mount(root);
        },
        { rootMargin: "600px" },
      );
      near.observe(root);
    }
  }

  async function mount(root) {
    const body = make("div", { class: "live-body" });
    try {
      const options = JSON.parse(root.dataset.options || "{}");
      root.append(body);
      await figures[root.dataset.live](body, options, window.VaeLive);
      root.dataset.state = "live"; // the style sheet now hides the picture
    } catch (error) {
      body.remove();
      root.dataset.state = "error";
      root.dataset.error = error.message; // the picture stays; a test reads the reason
    }
  }

  function register(name, mountFigure) {
    figures[name] = mountFigure;
    if (document.readyState === "loading") {
      document.addEventListener("DOMContentLoaded", mountAll, { once: true });
    } else {
      mountAll();
    }
  }

  // An element with attributes and children; `text` is its text, `on…` are listeners.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") element.textContent = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  // A canvas of `width` × `height` units that is sharp on any screen and as wide as its column
  // allows. `draw(context, colours)` works in these units; call the returned `redraw` after a
  // change, and it runs once before the next frame.
  function canvas(width, height, attributes, draw) {
    const style = `width:100%;max-width:${width}px;aspect-ratio:${width}/${height}`;
    return surface(attributes, style, () => [width, height], draw);
  }

  // The same as wide as its column and `height` pixels high: its unit is a pixel of the page, so
  // text keeps its size on a phone. `draw(context, colours, width, height)`.
  function panel(height, attributes, draw) {
    const style = `width:100%;height:${height}px`;
    return surface(attributes, style, (element) => [element.clientWidth || 1, height], draw);
  }

  function surface(attributes, style, size, draw) {
    const element = make("canvas", { role: "img", ...attributes });
    element.style.cssText += `;${style}`;
    const context = element.getContext("2d");
    let waiting = false;
    function paint() {
      waiting = false;
      const [width, height] = size(element);
      const shown = element.clientWidth || width;
      const pixels = Math.round(shown * (window.devicePixelRatio || 1));
      if (element.width !== pixels) {
        element.width = pixels;
        element.height = Math.round((pixels * height) / width);
      }
      context.setTransform(pixels / width, 0, 0, element.height / height, 0, 0);
      context.clearRect(0, 0, width, height);
      draw(context, palette(element), width, height);
    }
    function redraw() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(paint);
    }
    new ResizeObserver(redraw).observe(element);
    new MutationObserver(redraw).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    redraw();
    return { element, redraw };
  }

  // The colours of the page as it is now: `ink`, `paper`, `faint`, and the book's colours.
  function palette(element) {
    const style = getComputedStyle(element);
    const read = (name) => style.getPropertyValue(`--live-${name}`).trim();
    const names = ["ink", "paper", "faint", "blue", "orange", "green", "pink", "yellow", "sky"];
    return Object.fromEntries(names.map((name) => [name, read(name)]));
  }

  // A labelled slider with its value behind it. `show` writes the value for people.
  function slider({ label, min, max, step, value, show = String, oninput }) {
    const output = make("output", { text: show(value) });
    const input = make("input", { type: "range", min, max, step, value, "aria-label": label });
    const set = (next) => {
      input.value = next;
      output.textContent = show(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", () => {
      set(input.value);
      oninput(Number(input.value));
    });
    set(value);
    const element = make("label", { class: "live-slider" }, make("span", { text: label }), input, output);
    return { element, input, set };
  }

  function button(text, onclick, attributes = {}) {
    return make("button", { type: "button", text, onclick, ...attributes });
  }

  // Buttons of which at most one is pressed: {value: text} gives {value: element}.
  function choices(texts, choose) {
    return Object.fromEntries(
      Object.entries(texts).map(([value, text]) => [
        value, button(text, () => choose(value), { "aria-pressed": "false" }),
      ]),
    );
  }

  function press(buttons, chosen) {
    for (const [value, element] of Object.entries(buttons)) {
      element.setAttribute("aria-pressed", String(value === chosen));
    }
  }

  // Let a point of a canvas be dragged, and moved by the arrow keys. `get` and `set` speak in the
  // canvas' units, of which it has `size`, or in pixels of the page where `size` is null; an arrow
  // moves by `step`, with Shift by a fifth of it.
  function draggable(element, size, { get, set, step = 10 }) {
    element.tabIndex = 0;
    element.style.touchAction = "none"; // a finger drags the point, not the page
    const place = (event) => {
      const box = element.getBoundingClientRect();
      const [width, height] = size || [box.width, box.height];
      set(
        ((event.clientX - box.left) / box.width) * width,
        ((event.clientY - box.top) / box.height) * height,
      );
    };
    element.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary) return; // a second finger
      element.setPointerCapture(event.pointerId);
      element.focus({ preventScroll: true });
      place(event);
      event.preventDefault();
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) place(event);
    });
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    element.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const [x, y] = get();
      const far = event.shiftKey ? step / 5 : step;
      set(x + far * move[0], y + far * move[1]);
    });
  }

  // A line that screen readers speak, at most once in half a second.
  function announcer() {
    const element = make("p", { class: "live-announce", "aria-live": "polite" });
    let timer = null;
    const say = (text) => {
      clearTimeout(timer);
      timer = setTimeout(() => (element.textContent = text), 500);
    };
    return { element, say };
  }

  // Calls `tick` before each frame from `start` until it returns false; waits out of view.
  function loop(element, tick) {
    let running = false;
    let waiting = false;
    let seen = true;
    const ask = () => {
      if (!running || waiting || !seen) return;
      waiting = true;
      requestAnimationFrame(frame);
    };
    const frame = () => {
      waiting = false;
      if (!running || !seen) return;
      if (tick() === false) running = false;
      ask();
    };
    new IntersectionObserver((entries) => {
      seen = entries[entries.length - 1].isIntersecting;
      ask();
    }).observe(element);
    return {
      start: () => ((running = true), ask()),
      stop: () => (running = false),
      running: () => running,
    };
  }

  // A number for people: fixed digits, and a real minus sign.
  function number(value, digits) {
    const text = Math.abs(value).toFixed(digits);
    return (value < 0 && Number(text) !== 0 ? "\u2212" : "") + text;
  }

  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  window.VaeLive = {
    register, load, files, make, canvas, panel, palette, slider, button, choices, press,
    draggable, announcer, loop, number, calm,
  };
})();
