// The bar log p(x) = ELBO + KL for one image: the reader moves a normal q, or lets it climb.
(function () {
  "use strict";
  const live = window.VaeLive;

  const IMAGES = { "000110": "two humps", "000011": "one hump", "000000": "no ink" };
  const START = { image: "000110", mu: 0.8, sigma: 0.9 }; // "wide" in Figure 3.1
  const WAYS = { up: "Climb the ELBO", cover: "Descend the forward KL" };
  const LABEL =
    "The guess q. Arrow keys: left and right move it, up and down make it narrow and wide.";

  function strip(image) {
    const pixels = [...image].map((bit) => live.make("i", { class: bit === "1" && "live-black" }));
    return live.make("span", { class: "live-strip", "aria-hidden": "true" }, ...pixels);
  }

  async function mount(body, options) {
    const { model, terms, advance, clamp, LIMITS } = await live.load("bound-math");
    const { drawDensities, drawBar, peak, fromPeak, HIGH, BAR } = await live.load("bound-drawing");
    const q = { ...START, ...options };
    let now = null; // the model of the chosen image
    let t = null; // the terms of q
    let steps = 0;
    let direction = null; // of the steps that run: "up", "cover" or none

    const chart = live.panel(HIGH, { role: "application", "aria-label": LABEL }, (...to) =>
      drawDensities(...to.slice(0, 3), now, q),
    );
    const bar = live.panel(BAR.high, {}, (...to) =>
      drawBar(...to.slice(0, 3), now, t),
    );
    const sum = live.make("p", { class: "live-numbers" });
    const other = live.make("p", { class: "live-numbers" });
    const speaker = live.announcer();
    const run = live.loop(chart.element, () => climb(4));

    function show() {
      t = terms(now, q.mu, q.sigma);
      const nats = (value) => live.number(value, 2);
      sum.textContent =
        `ELBO ${nats(t.elbo)} + KL(q ‖ p(z | x)) ${nats(t.gap)} ` +
        `= log p(x) ${nats(now.evidence)} nats`;
      const count = direction ? `${steps} steps` : `converged after ${steps} steps`;
      other.textContent =
        `forward direction, KL(p(z | x) ‖ q): ${nats(t.forward)} nats` +
        (steps ? ` · ${count}` : "");
      mu.set(q.mu);
      sigma.set(q.sigma);
      chart.redraw();
      bar.redraw();
      bar.element.setAttribute("aria-label", `The bar: ${sum.textContent}`);
      speaker.say(`μ ${nats(q.mu)}, σ ${nats(q.sigma)}: ${sum.textContent}`);
    }

    // The reader moves q: what ran before stops.
    function move(next) {
      halt();
      steps = 0;
      q.mu = clamp(next.mu ?? q.mu, LIMITS.mu);
      q.sigma = clamp(next.sigma ?? q.sigma, LIMITS.sigma);
      show();
    }

    function halt() {
      run.stop();
      direction = null;
      live.press(climbs, null);
    }

    function climb(count) {
      for (let n = 0; n < count && direction; n++) {
        if (advance(now, q, direction)) steps += 1;
        else halt();
      }
      show();
      return direction !== null;
    }

    function begin(way) {
      const again = direction === way; // a second press stops
      move({});
      if (again) return;
      direction = way;
      live.press(climbs, way);
      if (live.calm()) climb(1e5);
      else run.start();
    }

    function choose(image) {
      q.image = image;
      now = model(image);
      live.press(images, image);
      move({});
    }

    const show2 = (value) => live.number(value, 2);
    const [mu, sigma] = [["μ", "mu"], ["σ", "sigma"]].map(([label, name]) => {
      const [min, max] = LIMITS[name];
      const oninput = (value) => move({ [name]: value });
      return live.slider({ label, min, max, step: 0.01, value: q[name], show: show2, oninput });
    });
    const climbs = live.choices(WAYS, begin);
    const images = live.choices(IMAGES, choose);
    for (const [image, element] of Object.entries(images)) {
      element.setAttribute("aria-label", `image ${image}, ${IMAGES[image]}`);
      element.replaceChildren(strip(image));
    }

    live.draggable(chart.element, null, {
      get: () => peak(q, chart.element.clientWidth),
      set: (x, y) => move(fromPeak(x, y, chart.element.clientWidth)),
      step: 6,
    });
    const row = (...parts) => live.make("div", { class: "live-row" }, ...parts);
    body.append(
      row("image x", ...Object.values(images)),
      chart.element, bar.element, sum, other,
      row(mu.element, sigma.element),
      row(...Object.values(climbs)),
      speaker.element,
    );
    choose(q.image);
  }

  live.register("bound", mount);
})();
