// A VAE that trains in the page. The engine is in train.js, what is measured in
// trainer-measure.js, the panels in trainer-panels.js. Here are the controls, and the loop that
// gives training a part of each frame.
(function () {
  "use strict";
  const live = window.VaeLive;
  const { make } = live;
  const BUDGET = 9; // milliseconds of a frame for training and measuring
  const LEG = 3000; // training pauses by itself after so many steps
  const EVERY = 25; // steps between two measurements
  const HEIGHT = 220; // units, of the lower two panels
  const RATES = [0.0003, 0.001, 0.003, 0.01, 0.03];
  const tenth = (value) => String(Number(value.toFixed(1)));

  // One training and all that belongs to it. `changed` is called when there is something new.
  class Training {
    constructor(data, settings, { Run, Measure }, changed) {
      Object.assign(this, { data, settings, Run, changed, marks: [], cross: [0, 0] });
      this.measure = new Measure(data);
      Object.assign(this, { leg: LEG, running: false, seen: true, waiting: false, speed: 0 });
    }

    begin(seed) {
      this.pause();
      Object.assign(this, { seed, marks: [], end: this.leg });
      this.run = new this.Run(this.data.train, { pixels: this.data.pixels, seed });
      this.measure.clear();
      this.settle();
    }

    start() {
      if (this.run.step >= this.end) this.end = this.run.step + this.leg;
      this.running = true;
      this.request();
      this.changed();
    }

    pause() {
      if (!this.running) return;
      this.running = false;
      this.settle();
    }

    one() {
      this.pause();
      this.run.advance(this.settings);
      this.settle();
    }

    // Measure at once what belongs to the present weights.
    settle() {
      this.measuring = null;
      for (const _ of this.measure.measure(this.run));
      this.end = Math.max(this.end, this.run.step);
      this.changed();
    }

    change(settings) {
      Object.assign(this.settings, settings);
      const { beta, mean, rate } = this.settings;
      const step = this.run.step;
      const last = this.marks[this.marks.length - 1];
      const mark = last && step - last.at < this.end / 20 ? last : { at: step };
      mark.text = `β ${tenth(beta)}${mean ? ", mean" : ""}${rate === 0.003 ? "" : `, rate ${rate}`}`;
      if (mark !== last && step > 0) this.marks.push(mark);
      this.changed();
    }

    // Work in the next frame, if there is somebody to see it.
    request() {
      if (this.waiting || !this.running || !this.seen || document.hidden) return;
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        if (!this.running || !this.seen) return;
        const until = performance.now() + BUDGET;
        while (this.running && performance.now() < until) this.work();
        this.request();
      });
    }

    // The smallest piece: one training step, or a part of a measurement.
    work() {
      const { run, measure } = this;
      if (this.measuring) {
        if (!this.measuring.next().done) return;
        this.measuring = null;
        this.tell();
      } else if (run.step % EVERY === 0 && measure.last.step !== run.step) {
        this.measuring = measure.measure(run);
      } else if (run.step >= this.end) {
        this.pause();
      } else {
        run.advance(this.settings);
      }
    }

    // Show a measurement, but not more often than people can follow.
    tell() {
      const now = performance.now();
      if (now - (this.told || 0) < (live.calm() ? 1000 : 100)) return;
      const steps = this.run.step - (this.toldStep || 0);
      if (now - this.told < 500 && steps > 0) {
        const speed = (1000 * steps) / (now - this.told);
        this.speed = this.speed ? 0.9 * this.speed + 0.1 * speed : speed;
      }
      Object.assign(this, { told: now, toldStep: this.run.step });
      this.changed();
    }

    decoded() {
      return this.run.model.decode(Float64Array.from(this.cross), 1).slice(0, this.data.pixels);
    }
  }

  // Four panels; the map has a cross that can be moved.
  function panels(training, { SIZE, LatentMap, curves, rows, grid }) {
    const map = new LatentMap();
    const { measure } = training;
    const drawn = [
      ["Test digits, each at its mean code", SIZE, (c, colours) =>
        map.draw(c, colours, measure, training.cross),
      "Map of the latent space with all test digits and a cross. Arrow keys move the cross."],
      ["Decoded: the prior in 100 equal parts", SIZE, (c, colours) =>
        grid(c, colours, measure), "100 decoded codes from all over the prior."],
      ["Nats per test image, against steps", HEIGHT, (c, colours) =>
        curves(c, colours, measure, { end: training.end, marks: training.marks, height: HEIGHT }),
      "Curves of minus ELBO, reconstruction and KL against training steps."],
      ["Test digits, and their reconstructions below", HEIGHT, (c, colours) =>
        rows(c, colours, measure, { decoded: training.decoded(), cross: training.cross }),
      "Ten test digits, their reconstructions, and the decoded cross."],
    ];
    const canvases = drawn.map(([, height, draw, about]) =>
      live.canvas(SIZE, height, { "aria-label": about }, draw));
    const element = make("div", { class: "live-panels" }, ...canvases.map((one, i) =>
      make("div", {}, make("p", { text: drawn[i][0] }), one.element)));
    canvases[0].element.setAttribute("role", "application");
    live.draggable(canvases[0].element, [SIZE, SIZE], {
      get: () => map.place(...training.cross),
      set: (x, y) => {
        training.cross = map.code(x, y);
        for (const i of [0, 3]) canvases[i].redraw();
      },
      step: 8,
    });
    return { element, redraw: () => canvases.forEach(({ redraw }) => redraw()) };
  }

  // The terms in words and numbers: step, −ELBO, its terms, loss, effective β.
  function lines({ run, measure, settings, running, speed, data }) {
    const { reconstruction, kl } = measure.last;
    const { beta, mean } = settings;
    const objective = (mean ? reconstruction / data.pixels : reconstruction) + beta * kl;
    return [
      `Step ${run.step.toLocaleString("en")}` +
        (running && speed ? `, ${Math.round(speed / 10) * 10} a second` : ""),
      `−ELBO ${(reconstruction + kl).toFixed(1)}`,
      ` = reconstruction ${reconstruction.toFixed(1)} + KL ${kl.toFixed(1)}`,
      `Loss: reconstruction${mean ? ` / ${data.pixels}` : ""} + ${tenth(beta)} KL` +
        ` = ${objective.toFixed(mean ? 2 : 1)}`,
      `Effective β: ${tenth(mean ? beta * data.pixels : beta)}. Nats per test image.`,
    ];
  }

  function controls(training) {
    const { settings } = training;
    const play = live.button("Train", () => (training.running ? training.pause() : training.start()));
    const seed = make("output", {});
    const sums = ["sum", "mean"].map((name) =>
      live.button(name, () => training.change({ mean: name === "mean" })));
    const beta = live.slider({
      label: "β", min: 0, max: 8, step: 0.1, value: settings.beta, show: (v) => v.toFixed(1),
      oninput: (value) => training.change({ beta: value }),
    });
    const rate = live.slider({
      label: "learning rate", min: 0, max: RATES.length - 1, step: 1,
      value: RATES.indexOf(settings.rate), show: (at) => String(RATES[at]),
      oninput: (at) => training.change({ rate: RATES[at] }),
    });
    const row = (...children) => make("div", { class: "live-row" }, ...children);
    play.classList.add("live-play");
    const elements = [
      row(play, live.button("One step", () => training.one()),
        live.button("Reset", () => training.begin(training.seed)),
        live.button("New seed", () => training.begin(training.seed + 1)), seed),
      row(beta.element, make("div", { class: "live-choice", role: "group", "aria-label": "over pixels" },
        ...sums, make("span", { text: "over pixels" })), rate.element),
    ];
    const show = () => {
      play.textContent = training.running ? "Pause" : "Train";
      seed.textContent = `seed ${training.seed}`;
      sums.forEach((one, i) => one.setAttribute("aria-pressed", settings.mean === Boolean(i)));
    };
    return { elements, show };
  }

  async function mount(body, options) {
    const [{ Run }, { Measure, read }, drawing, file] = await Promise.all(
      ["train", "trainer-measure", "trainer-panels", "small-digits"].map(live.load));
    const settings = { beta: 1, mean: false, rate: 0.003, ...options.settings };
    const parts = [];
    const training = new Training(read(file), settings, { Run, Measure }, () =>
      parts.forEach((show) => show()));
    training.leg = options.leg || LEG;
    training.begin(options.seed || 1);
    const { element: spoken, say } = live.announcer();
    const numbers = make("div", { class: "live-numbers" });
    const handles = controls(training);
    const pictures = panels(training, drawing);
    let spokenAt = 0;
    parts.push(handles.show, pictures.redraw, () => {
      const [step, bound, terms, loss, effective] = lines(training);
      numbers.replaceChildren(
        make("p", { text: step }), make("p", {}, make("strong", { text: bound }), terms),
        make("p", { text: loss }), make("p", { text: effective }));
      if (training.running && performance.now() - spokenAt < 10000) return;
      spokenAt = performance.now();
      say(`${step}. ${bound}${terms}. ${effective}`);
    });
    body.append(...handles.elements, numbers, pictures.element, spoken);
    new IntersectionObserver((entries) => {
      training.seen = entries[entries.length - 1].isIntersecting;
      training.request();
    }).observe(body);
    document.addEventListener("visibilitychange", () => training.request());
    training.changed();
  }

  live.register("trainer", mount);
})();
