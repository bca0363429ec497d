// A VAE with two latent dimensions for live figures: its distributions, and 28 × 28 pictures.
// Loaded with `live.load("small-vae")`.
(function () {
  "use strict";
  const live = window.VaeLive;
  const SIDE = 28;

  // The model of a file that benchmarks/live_model.py wrote, with the means of test images.
  function read(file) {
    const { encoder, decoder } = live.nn.networks(file);
    const bytes = atob(file.map.means);
    const edge = file.map.edge;
    const means = Float32Array.from(bytes, (c) => ((2 * c.charCodeAt(0)) / 255 - 1) * edge);
    const labels = Uint8Array.from(file.map.labels, Number);
    const decode = (z) => probabilities(live.nn.forward(decoder, z)); // the mean of p(x | z)
    return { encoder, decoder, decode, edge, means, labels, centres: file.map.centres };
  }

  // q(z | x) of 784 pixels: {mu, sigma}, two numbers each.
  function posterior(model, x) {
    const [m0, m1, l0, l1] = live.nn.forward(model.encoder, x);
    return { mu: [m0, m1], sigma: [Math.exp(l0 / 2), Math.exp(l1 / 2)] };
  }

  // KL(q ‖ N(0, I)) in nats.
  function kl({ mu, sigma }) {
    const each = (m, s) => 0.5 * (m * m + s * s - 1) - Math.log(s);
    return each(mu[0], sigma[0]) + each(mu[1], sigma[1]);
  }

  const logits = (model, z) => live.nn.forward(model.decoder, z);

  // log p(x | z) in nats for binary pixels x, from the decoder's logits. The largest of 0 and l
  // is taken out of log(1 + e^l), so that nothing overflows.
  function logPx(logits, x) {
    let sum = 0;
    for (let i = 0; i < x.length; i++) {
      const l = logits[i];
      sum += x[i] * l - (Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l))));
    }
    return sum;
  }

  const probabilities = (logits) => logits.map((l) => 1 / (1 + Math.exp(-l)));

  // How many of the `count` test digits nearest to z each class has: [[class, digits], …].
  function nearest(model, [x, y], count = 25) {
    const closest = []; // [distance, class], in order
    model.labels.forEach((label, n) => {
      const distance = Math.hypot(model.means[2 * n] - x, model.means[2 * n + 1] - y);
      if (closest.length === count && distance >= closest[count - 1][0]) return;
      let at = closest.length;
      while (at && closest[at - 1][0] > distance) at -= 1;
      closest.splice(at, 0, [distance, label]);
      closest.length = Math.min(count, closest.length);
    });
    const found = new Array(10).fill(0);
    for (const [, label] of closest) found[label] += 1;
    return [...found.entries()].filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  }

  const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

  // 784 numbers as RGBA pixels: 0 is paper, 1 is ink.
  function paint(values, { paper, ink }) {
    const [from, to] = [channels(paper), channels(ink)];
    const image = new ImageData(SIDE, SIDE);
    for (let i = 0; i < values.length; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = from[c] + values[i] * (to[c] - from[c]);
      image.data[4 * i + 3] = 255;
    }
    return image;
  }

  // A picture of 28 × 28 pixels with a caption; `show(values)` changes it before the next frame.
  function picture(label, caption) {
    const element = live.make("canvas", {
      width: SIDE, height: SIDE, role: "img", "aria-label": label, class: "live-pixels",
    });
    const context = element.getContext("2d");
    let values = new Float32Array(SIDE * SIDE);
    const draw = () => context.putImageData(paint(values, live.palette(element)), 0, 0);
    new MutationObserver(draw).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    const text = live.make("p", { class: "live-key", text: caption });
    const figure = live.make("div", {}, element, text);
    return {
      element: figure, canvas: element, caption: text,
      show(next) {
        values = next;
        draw();
      },
    };
  }

  live.files["small-vae"] = {
    SIDE, read, posterior, kl, logits, logPx, probabilities, nearest, paint, picture,
  };
})();
