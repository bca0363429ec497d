// Draw a digit: where the encoder puts it, what the decoder rebuilds, and the ELBO in nats.
VaeLive.register("draw", async (body, options, live) => {
  "use strict";
  const needed = ["mnist-2d", "small-vae", "latent-map", "pen"];
  const [file, vae, { latentMap, drawPosterior }, pen] = await Promise.all(needed.map(live.load));
  const model = vae.read(file);
  const { make } = live;
  const PAD = 280; // units of the drawing area, ten for a pixel
  const SAMPLES = 20; // of z: the stored range of the ELBO is for as many
  const SHARE = 0.2; // of the time goes into decoding the samples while the pen moves
  const NO_INK = new Float32Array(784);
  const SQUARE = [[[60, 60], [220, 60], [220, 220], [60, 220], [60, 60]]];

  let penWidth = 2.4; // in pixels of the picture: about as much ink as in MNIST
  let seed = 1; // of the binary pixels and the samples
  let thresholds, noise;
  let chosen = -1; // the sample that is decoded; −1 stands for the mean
  let found = null; // of the present drawing: pixels, x, mu, sigma, samples
  let next = 0; // when the samples may be decoded again
  let timer = null;

  const show = (value, digits = 1) => live.number(value, digits);
  const both = (values) => `(${values.map((value) => show(value, 2)).join(", ")})`;
  const grey = vae.picture("The drawing in 28 by 28 pixels", "scaled and centred as in MNIST, grey");
  const binary = vae.picture("Its binary pixels", "x: binary pixels");
  const rebuilt = vae.picture("What the decoder makes of z", "");
  const verdict = make("p", { class: "live-verdict" });
  const spoken = live.announcer();
  const table = make("table", { class: "live-numbers" });
  const [place, logPx, divergence, elbo] = [
    "q(z | x)", `log p(x | z), mean over ${SAMPLES} samples`, "KL(q(z | x) ‖ p(z))",
    "ELBO, their difference",
  ].map((label) => {
    const cell = make("td");
    table.append(make("tr", {}, make("th", { scope: "row", text: label }), cell));
    return cell;
  });

  const pad = pen.pad(PAD, {
    role: "application", class: "live-pad",
    "aria-label": "Drawing area. The arrow keys move the pen, Space puts it down and lifts it, " +
      "Backspace takes back a stroke. Or choose an example.",
  }, update);
  const map = latentMap(model, 400, { "aria-label": "Map of the latent space with q(z | x)" },
    (context, colours, scale) => found && drawPosterior(context, map, found, colours, scale));
  const lens = live.canvas(150, 150, { "aria-label": "q(z | x), enlarged" },
    (context, colours) => found && drawLens(context, colours));

  // Everything that follows from the drawing.
  function update(drawing = false) {
    const strokes = pad.strokes().filter((stroke) => stroke.length);
    found = strokes.length ? encode(pen.normalise(strokes, penWidth)) : null;
    grey.show(found ? found.pixels : NO_INK);
    binary.show(found ? found.x : NO_INK);
    rebuild();
    clearTimeout(timer);
    if (drawing && performance.now() < next) timer = setTimeout(count, 100);
    else count();
  }

  function encode(pixels) {
    const x = pixels.map((value, i) => (thresholds[i] < value ? 1 : 0));
    const { mu, sigma } = vae.posterior(model, x);
    const samples = noise.map((e) => e.map((value, d) => mu[d] + sigma[d] * value));
    return { pixels, x, mu, sigma, samples };
  }

  function rebuild() {
    const name = chosen < 0 ? "μ" : `sample ${chosen + 1}`;
    let text = `p(x | z), z = ${name}`;
    if (found) {
      found.ringed = chosen < 0 ? found.mu : found.samples[chosen];
      const logits = vae.logits(model, found.ringed);
      rebuilt.show(vae.probabilities(logits));
      text += `: log p(x | z) = ${show(vae.logPx(logits, found.x))} nats`;
    } else rebuilt.show(NO_INK);
    rebuilt.caption.textContent = text;
    map.redraw();
    lens.redraw();
  }

  // The terms of the ELBO.
  function count() {
    if (!found) {
      for (const cell of [place, logPx, divergence, elbo]) cell.textContent = "–";
      verdict.textContent = "Draw a digit in the square, or choose an example.";
      return;
    }
    const start = performance.now();
    const each = found.samples.map((z) => vae.logPx(vae.logits(model, z), found.x));
    const now = performance.now();
    next = now + (now - start) / SHARE;
    const mean = each.reduce((a, b) => a + b) / SAMPLES;
    const variance = each.reduce((a, b) => a + (b - mean) ** 2, 0) / (SAMPLES - 1);
    const bound = mean - vae.kl(found);
    place.textContent = `μ = ${both(found.mu)}, σ = ${both(found.sigma)}`;
    logPx.textContent = `${show(mean)} ± ${show(Math.sqrt(variance / SAMPLES))} nats`;
    divergence.textContent = `${show(vae.kl(found))} nats`;
    elbo.textContent = `${show(bound)} nats`;
    verdict.textContent = compare(bound);
    spoken.say(`μ = ${both(found.mu)}. The ELBO is ${elbo.textContent}. ${verdict.textContent}`);
  }

  // What the ELBO says, compared with MNIST's test images. A high one is no proof of a digit.
  function compare(bound) {
    const at = file.elbo;
    const [low, high] = [show(at["0.05"]), show(at["0.95"])];
    const range = `90 of 100 test digits lie between ${low} and ${high} nats.`;
    const higher = (n) => `${n} of 100 test digits have a higher ELBO; ${range}`;
    if (bound < at["0.01"]) return `Unlike any digit, says this model: ${higher(99)}`;
    if (bound < at["0.05"]) return `Unusual: ${higher(95)}`;
    if (bound <= at["0.95"]) return `As usual for a digit: ${range}`;
    return `Little ink is easy to explain, a digit or not: only ${higher(5)}`;
  }

  // The surroundings of μ, as large as the posterior needs.
  function drawLens(context, colours) {
    const unit = 70 / (3.2 * Math.max(...found.sigma));
    const place = (z) => [75 + (z[0] - found.mu[0]) * unit, 75 - (z[1] - found.mu[1]) * unit];
    const scale = 150 / (lens.element.clientWidth || 150);
    drawPosterior(context, { unit, place }, found, colours, scale);
  }

  function drawNoise() {
    const random = live.nn.random(seed);
    thresholds = Float32Array.from({ length: 784 }, random.uniform);
    noise = Array.from({ length: SAMPLES }, () => [random.normal(), random.normal()]);
  }

  const pick = (choose) => () => {
    chosen = choose();
    rebuild();
  };
  const points = (flat) => // [x, y, x, y, …] in pixels
    flat.flatMap((x, n) => (n % 2 ? [] : [[10 * x + 5, 10 * flat[n + 1] + 5]]));
  const example = (strokes) => strokes.map(points);
  const choose = (text, label, strokes) =>
    live.button(text, () => pad.put(structuredClone(strokes)), { "aria-label": label });
  const examples = make("div", { class: "live-keys", role: "group", "aria-label": "Examples" },
    ...file.pens.map((strokes, n) => choose(String(n), `Example ${n}`, example(strokes))),
    choose("□", "Example: a square", SQUARE));
  const thickness = live.slider({
    label: "Pen", min: 1.5, max: 4.5, step: 0.1, value: penWidth,
    show: (value) => `${show(value)} px`,
    oninput: (value) => {
      penWidth = value;
      pad.width = 10 * value;
      pad.redraw();
      update();
    },
  });
  const again = () => {
    seed += 1;
    drawNoise();
    update();
  };

  body.append(
    make("div", { class: "live-columns" },
      make("div", { class: "live-side" }, pad.element, examples,
        make("div", { class: "live-row" },
          live.button("Undo", pad.undo), live.button("Clear", () => pad.put([])))),
      map.element),
    make("div", { class: "live-gallery" }, grey.element, binary.element,
      make("div", {}, lens.element,
        make("p", { class: "live-key", text: "q(z | x), enlarged: 1 and 2 σ" })),
      rebuilt.element),
    make("div", { class: "live-row" },
      live.button("Decode μ", pick(() => -1)),
      live.button("Decode a sample", pick(() => (chosen + 1) % SAMPLES)),
      live.button("Draw pixels and samples anew", again), thickness.element),
    table, verdict, spoken.element,
  );
  drawNoise();
  pad.put(example(file.pens[2]));
});
