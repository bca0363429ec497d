// The reparameterization trick by hand: the noise stays, μ and σ move the samples; and what the
// score function makes of the same samples.
(function () {
  "use strict";
  const live = window.VaeLive;

  const START = { f: "square", by: "mu", mu: 0.8, sigma: 0.7, shift: 0, seed: 5 };
  const NAMES = { mu: "μ", sigma: "σ", shift: "shift c" };
  const LABEL =
    "The distribution q. Arrow keys: left and right move it, up and down make it narrow and wide.";

  // 0.160, 3.00, 158.7, 3,751: about as many digits as a reader can use.
  function rounded(value) {
    const size = Math.abs(value);
    if (size >= 1000) return live.number(value, 0).replace(/\B(?=(\d{3})+$)/g, ",");
    return live.number(value, size < 1 ? 3 : size < 100 ? 2 : 1);
  }

  function worth({ pathVariance, scoreVariance, path, gradient }) {
    if (Math.abs(path - gradient) > 1e-6) {
      return "Pathwise draws do not see a jump: they are all 0, and wrong.";
    }
    const [good, bad] = ["pathwise", "score-function"];
    const ratio = scoreVariance / pathVariance;
    const times = (value) => live.number(value, value < 10 ? 1 : 0);
    return ratio >= 1
      ? `One ${good} draw is worth ${times(ratio)} ${bad} draws.`
      : `One ${bad} draw is worth ${times(1 / ratio)} ${good} draws.`;
  }

  async function mount(body, options) {
    const { FUNCTIONS, LIMITS, clamp, draw, exact, noise } = await live.load("trick-math");
    const { drawPath, drawScore, drawRows, peak, fromPeak, HIGH, ROWS } =
      await live.load("trick-drawing");
    const state = { ...START, ...options };
    let eps = noise(state.seed);
    let draws = [];
    let truth = {};
    const charts = [
      live.panel(HIGH, { role: "application", "aria-label": LABEL }, (...to) =>
        drawPath(...to.slice(0, 3), state, draws)),
      live.panel(HIGH, {}, (...to) => drawScore(...to.slice(0, 3), state, draws)),
      live.panel(ROWS.high, {}, (...to) => drawRows(...to.slice(0, 3), state, draws, truth)),
    ];
    const cells = {};
    const cell = (name) => (cells[name] = live.make("td"));
    const line = (head, ...parts) =>
      live.make("tr", {}, live.make("th", { scope: "row", text: head }), ...parts);
    const head = live.make("tr", {}, ...["", "mean of the 20", "exact", "variance of one draw"].map(
      (text) => live.make("th", { scope: "col", text })));
    const table = live.make("table", { class: "live-numbers" }, head,
      line("pathwise", cell("pathMean"), cell("exact"), cell("pathVariance")),
      line("score function", cell("scoreMean"), cell("same"), cell("scoreVariance")));
    const verdict = live.make("p");
    const speaker = live.announcer();

    function show() {
      draws = eps.map((one) => draw(state, one));
      truth = exact(state);
      const mean = (name) => draws.reduce((sum, one) => sum + one[name] / draws.length, 0);
      cells.pathMean.textContent = rounded(mean("path"));
      cells.scoreMean.textContent = rounded(mean("weighted"));
      cells.exact.textContent = cells.same.textContent = rounded(truth.gradient);
      cells.pathVariance.textContent = rounded(truth.pathVariance);
      cells.scoreVariance.textContent = rounded(truth.scoreVariance);
      verdict.textContent = worth(truth);
      for (const [name, one] of Object.entries(sliders)) one.set(state[name]);
      for (const one of charts) one.redraw();
      const [a, b] = [cells.pathVariance.textContent, cells.scoreVariance.textContent];
      const words = `Variance of one draw: pathwise ${a}, score function ${b}.`;
      charts[1].element.setAttribute("aria-label", `The samples, f and their scores. ${words}`);
      charts[2].element.setAttribute("aria-label", `Both estimates from each sample. ${words}`);
      const at = `μ ${live.number(state.mu, 2)}, σ ${live.number(state.sigma, 2)}`;
      speaker.say(`${at}, exact derivative ${cells.exact.textContent}. ${words}`);
    }

    function change(next) {
      Object.assign(state, next);
      for (const name of Object.keys(LIMITS)) state[name] = clamp(state[name], LIMITS[name]);
      live.press(functions, state.f);
      live.press(parameters, state.by);
      show();
    }

    const sliders = Object.fromEntries(Object.entries(LIMITS).map(([name, [min, max]]) => {
      const digits = name === "shift" ? 1 : 2;
      return [name, live.slider({
        label: NAMES[name], min, max, step: 10 ** -digits, value: state[name],
        show: (value) => live.number(value, digits),
        oninput: (value) => change({ [name]: value }),
      })];
    }));
    const texts = Object.entries(FUNCTIONS).map(([name, { text }]) => [name, text]);
    const functions = live.choices(Object.fromEntries(texts), (f) => change({ f }));
    const parameters = live.choices({ mu: "∂/∂μ", sigma: "∂/∂σ" }, (by) => change({ by }));
    const again = live.button("New noise", () => {
      eps = noise(++state.seed);
      show();
    });

    live.draggable(charts[0].element, null, {
      get: () => peak(state, charts[0].element.clientWidth),
      set: (x, y) => change(fromPeak(x, y, charts[0].element.clientWidth)),
      step: 6,
    });
    const row = (...parts) => live.make("div", { class: "live-row" }, ...parts);
    const halves = charts.slice(0, 2).map((one) => live.make("div", {}, one.element));
    body.append(
      row("f(z) =", ...Object.values(functions), "+ c,", ...Object.values(parameters)),
      live.make("div", { class: "live-halves" }, ...halves),
      row(...Object.values(sliders).map((one) => one.element), again),
      charts[2].element, table, verdict,
      speaker.element,
    );
    change({});
  }

  live.register("trick", mount);
})();
