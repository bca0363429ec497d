// What is measured while a VAE trains in the page: its terms on all test images, always with the
// same noise, and the pictures that the panels show.
(function () {
  "use strict";
  const live = window.VaeLive;
  if (live.files["trainer-measure"]) return;
  const PART = 100; // images at a time
  const ACROSS = 10; // pictures in a row
  // quantiles of the standard normal at 0.55, 0.65, …: with those below 0, ten columns of equal
  // probability
  const HALF = [0.12566, 0.38532, 0.67449, 1.03643, 1.64485];
  const QUANTILES = [...HALF.map((z) => -z).reverse(), ...HALF];

  // Eight pixels a byte, in base64, to one number a pixel.
  function unpack(base64) {
    const bytes = atob(base64);
    const bit = (_, i) => (bytes.charCodeAt(i >> 3) >> (7 - (i & 7))) & 1;
    return Uint8Array.from({ length: 8 * bytes.length }, bit);
  }

  function read(file) {
    return {
      side: file.side, pixels: file.side * file.side, labels: [...file.labels].map(Number),
      train: unpack(file.train), test: unpack(file.test),
    };
  }

  // −log p of the test images in nats per image, if each pixel is a coin of its own that has the
  // pixel's share of ink in the training images: a model without latents.
  function independent({ pixels, train, test }) {
    const count = train.length / pixels;
    const ink = new Float64Array(pixels);
    for (let i = 0; i < train.length; i++) ink[i % pixels] += train[i];
    let sum = 0;
    for (let i = 0; i < test.length; i++) {
      const share = (ink[i % pixels] + 0.5) / (count + 1); // no pixel is impossible
      sum -= Math.log(test[i] ? share : 1 - share);
    }
    return (sum * pixels) / test.length;
  }

  class Measure {
    constructor(data) {
      const count = data.labels.length;
      Object.assign(this, { data, across: ACROSS, baseline: independent(data) });
      const random = live.nn.random(0); // whatever the seed of the training is
      this.eps = Float64Array.from({ length: 2 * count }, random.normal);
      this.shown = [...Array(ACROSS).keys()].map((label) => data.labels.indexOf(label));
      this.plane = Float64Array.from({ length: 2 * ACROSS ** 2 }, (_, i) => {
        const [row, column] = [Math.floor(i / 2 / ACROSS), (i >> 1) % ACROSS];
        return i % 2 ? -QUANTILES[row] : QUANTILES[column]; // z₂ grows upwards
      });
      this.clear();
    }

    clear() {
      Object.assign(this, { history: [], last: { step: -1 } });
    }

    // Measure the model of `run`, a part at each turn, without a training step in between. Then
    // `last` holds the result: terms in nats per image, and of each test image μ and σ.
    *measure(run) {
      const { data, eps } = this;
      const { pixels } = data;
      const count = data.labels.length;
      const found = {
        step: run.step, reconstruction: 0, kl: 0,
        mu: new Float64Array(2 * count), sigma: new Float64Array(2 * count),
        rows: new Float64Array(2 * ACROSS * pixels), // test digits, then their reconstructions
      };
      for (let at = 0; at < count; at += PART) {
        const x = new Float64Array(data.test.subarray(at * pixels, (at + PART) * pixels));
        this.part(run.model, x, eps.subarray(2 * at, 2 * (at + PART)), at, found);
        yield;
      }
      found.grid = run.model.decode(this.plane, ACROSS ** 2).slice(0, ACROSS ** 2 * pixels);
      this.last = found;
      this.remember(found);
    }

    part(model, x, eps, at, found) {
      const { pixels, labels } = this.data;
      const probability = model.decode(model.encode(x, eps, PART), PART);
      const { reconstruction, kl } = model.terms(x, PART);
      for (let i = 0; i < PART; i++) {
        found.reconstruction += reconstruction[i] / labels.length;
        found.kl += kl[i] / labels.length;
      }
      for (let i = 0; i < 2 * PART; i++) {
        found.mu[2 * at + i] = model.mu[i];
        found.sigma[2 * at + i] = Math.exp(model.logvar[i] / 2);
      }
      this.shown.forEach((image, i) => {
        if (image < at || image >= at + PART) return;
        const pixelsOf = [(image - at) * pixels, (image - at + 1) * pixels];
        found.rows.set(x.subarray(...pixelsOf), i * pixels);
        found.rows.set(probability.subarray(...pixelsOf), (ACROSS + i) * pixels);
      });
    }

    // The curves: every measurement, and of a long training every second, fourth, …
    remember({ step, reconstruction, kl }) {
      if (this.history.length && this.history[this.history.length - 1].step === step) return;
      this.history.push({ step, reconstruction, kl });
      if (this.history.length > 1000) this.history = this.history.filter((_, i) => i % 2 === 0);
    }
  }

  live.files["trainer-measure"] = { Measure, read };
})();
