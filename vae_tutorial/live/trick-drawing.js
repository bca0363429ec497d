// What the figure "trick" draws: samples that move, samples that are weighed, and both estimates.
(function () {
  "use strict";
  const live = window.VaeLive;
  const { FUNCTIONS } = live.files["trick-math"];

  const HIGH = 290; // of both charts
  const VIEW = [-2, 3]; // of z
  const EDGE = { left: 34, right: 10, top: 30 };
  const FLOOR = { path: 190, score: 250 }; // where the axis of z lies
  const NOISE = 262; // where the axis of the noise lies
  const DENSITY = 36; // pixels for one unit of density
  const FONT = "13px system-ui, sans-serif";
  const PEAK = 1 / Math.sqrt(2 * Math.PI); // of the standard normal density

  const across = (width) => (width - EDGE.left - EDGE.right) / (VIEW[1] - VIEW[0]);
  const placeX = (z, width) => EDGE.left + (z - VIEW[0]) * across(width);
  const noiseX = (eps, width) => placeX(0.5 * (VIEW[0] + VIEW[1]), width) +
    (eps * (width - EDGE.left - EDGE.right)) / 6;

  // Pixels for values of f: [low, high] lies between the floor and the top.
  function scale(low, high, floor) {
    const unit = (floor - 8 - EDGE.top) / (high - low);
    return (value) => floor - 8 - unit * (value - low);
  }

  function text(context, words, x, y, align = "left") {
    context.textAlign = align;
    context.fillText(words, x, y);
  }

  function stroke(context, points, { colour, width = 1, dash = [] }) {
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.stroke();
    context.setLineDash([]);
  }

  // q as a grey hill on the floor, the curve of f, the axis of z, and ticks for the values of f.
  function scene(context, colours, width, state, floor, y, ticks) {
    context.font = FONT;
    const right = width - EDGE.right;
    context.fillStyle = colours.faint;
    context.beginPath();
    for (let x = EDGE.left; x <= right; x++) {
      const far = ((x - EDGE.left) / across(width) + VIEW[0] - state.mu) / state.sigma;
      context.lineTo(x, floor - (DENSITY * PEAK * Math.exp(-0.5 * far * far)) / state.sigma);
    }
    context.lineTo(right, floor);
    context.lineTo(EDGE.left, floor);
    context.fill();
    const curve = [];
    for (let x = EDGE.left; x <= right; x += 0.5) {
      const z = VIEW[0] + (x - EDGE.left) / across(width);
      curve.push([x, y(FUNCTIONS[state.f].value(z) + state.shift)]);
    }
    stroke(context, curve, { colour: colours.ink, width: 1.2 });
    stroke(context, [[EDGE.left, floor], [right, floor]], { colour: colours.ink });
    stroke(context, [[EDGE.left, floor], [EDGE.left, EDGE.top - 6]], { colour: colours.ink });
    context.fillStyle = colours.ink;
    for (const tick of ticks) {
      context.fillRect(EDGE.left - 4, y(tick) - 0.5, 4, 1);
      text(context, live.number(tick, tick % 1 ? 1 : 0), EDGE.left - 6, y(tick) + 4.5, "right");
    }
    for (let z = -2; z <= 3; z++) context.fillRect(placeX(z, width) - 0.5, floor, 1, 4);
  }

  function labelZ(context, colours, width, floor) {
    for (let z = -2; z <= 3; z++) {
      const words = live.number(z, 0);
      context.fillStyle = colours.paper;
      context.fillRect(placeX(z, width) - 7, floor + 5, 14, 14);
      context.fillStyle = colours.ink;
      text(context, words, placeX(z, width), floor + 17, "center");
    }
    text(context, "z", 8, floor + 17);
  }

  function arrow(context, from, to, colour) {
    const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
    const length = Math.hypot(to[1] - from[1], to[0] - from[0]);
    if (length < 1) return;
    stroke(context, [from, to], { colour, width: 1.6 });
    const head = Math.min(7, length);
    context.beginPath();
    context.moveTo(...to);
    for (const turn of [-0.45, 0.45]) {
      context.lineTo(to[0] - head * Math.cos(angle + turn), to[1] - head * Math.sin(angle + turn));
    }
    context.fillStyle = colour;
    context.fill();
  }

  function disc(context, x, y, radius, fill, edge) {
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fillStyle = fill;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = edge;
    context.stroke();
  }

  const ticksOf = ({ f, shift }) => FUNCTIONS[f].ticks.map((value) => value + shift);

  function drawPath(context, colours, width, state, draws) {
    const ticks = ticksOf(state);
    const y = scale(ticks[0], ticks.at(-1), FLOOR.path); // it follows the shift: slopes stay
    const { reach } = FUNCTIONS[state.f];
    scene(context, colours, width, state, FLOOR.path, y, ticks);
    for (const { eps, z } of draws) {
      const line = [[noiseX(eps, width), NOISE], [placeX(z, width), FLOOR.path]];
      stroke(context, line, { colour: colours.blue, width: 0.8 });
    }
    labelZ(context, colours, width, FLOOR.path);
    const ends = [[EDGE.left, NOISE], [width - EDGE.right, NOISE]];
    stroke(context, ends, { colour: colours.ink });
    for (let eps = -2; eps <= 2; eps++) {
      text(context, live.number(eps, 0), noiseX(eps, width), NOISE + 22, "center");
    }
    text(context, "ε", 8, NOISE + 5);
    const [x, top] = peak(state, width);
    disc(context, x, top, 8, colours.blue, colours.paper);
    context.fillStyle = colours.ink;
    for (const { eps, z, value, path, motion } of draws) {
      context.fillRect(noiseX(eps, width) - 1, NOISE - 6, 2, 12);
      const from = [placeX(z, width), y(value)];
      disc(context, ...from, 3.5, colours.paper, colours.blue);
      const to = [placeX(z + reach * motion, width), y(value + reach * path)];
      arrow(context, from, to, colours.blue);
      context.fillStyle = colours.ink;
    }
    text(context, "pathwise: samples move", EDGE.left, 14);
  }

  function drawScore(context, colours, width, state, draws) {
    const ticks = ticksOf(state);
    const [low, high] = [ticks[0], ticks.at(-1)];
    const y = scale(Math.min(0, low), Math.max(0, high), FLOOR.score);
    scene(context, colours, width, state, FLOOR.score, y, [...new Set([0, low, high])]);
    labelZ(context, colours, width, FLOOR.score);
    const zero = [[EDGE.left, y(0)], [width - EDGE.right, y(0)]];
    stroke(context, zero, { colour: colours.ink, dash: [2, 3] });
    for (const { z, value } of draws) {
      const x = placeX(z, width);
      stroke(context, [[x, y(0)], [x, y(value)]], { colour: colours.orange, width: 0.8 });
    }
    for (const { z, value, score } of draws) {
      const size = Math.abs(score) * state.sigma; // |eps| or |eps² − 1|
      const radius = 2.5 + 4 * Math.sqrt(size);
      const [x, at, positive] = [placeX(z, width), y(value), score > 0];
      disc(context, x, at, radius, positive ? colours.orange : colours.paper, colours.orange);
      context.fillStyle = positive ? colours.paper : colours.orange;
      context.fillRect(x - radius / 2, at - 0.75, radius, 1.5);
      if (positive) context.fillRect(x - 0.75, at - radius / 2, 1.5, radius);
    }
    context.fillStyle = colours.ink;
    text(context, "score function: samples stay", EDGE.left, 14);
    text(context, "length: f(z) · disc: score, + or −", EDGE.left, HIGH - 4);
  }

  // The peak of q in the left chart, in pixels, and the q whose peak is at a pixel.
  const peak = ({ mu, sigma }, width) => [
    placeX(mu, width), FLOOR.path - (DENSITY * PEAK) / sigma,
  ];
  const fromPeak = (x, y, width) => ({
    mu: VIEW[0] + (x - EDGE.left) / across(width),
    sigma: (DENSITY * PEAK) / Math.max(1, FLOOR.path - y),
  });

  const ROWS = { high: 132, path: 34, score: 74, axis: 92 };

  // 1, 2 or 5 times a power of ten, not below `value`.
  function round(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9));
  }

  function drawRows(context, colours, width, state, draws, truth) {
    context.font = FONT;
    const values = draws.flatMap(({ path, weighted }) => [path, weighted]);
    const limit = round(Math.max(0.1, ...values.map(Math.abs), Math.abs(truth.gradient)));
    const place = (value) => width / 2 + (value / limit) * (width / 2 - 22);
    context.fillStyle = colours.ink;
    stroke(context, [[10, ROWS.axis], [width - 10, ROWS.axis]], { colour: colours.ink });
    for (const part of [-1, -0.5, 0, 0.5, 1]) {
      context.fillRect(place(part * limit) - 0.5, ROWS.axis, 1, 4);
      const words = live.number(part * limit, limit < 1 ? 2 : limit < 5 ? 1 : 0);
      text(context, words, place(part * limit), ROWS.axis + 18, "center");
    }
    const name = state.by === "mu" ? "μ" : "σ";
    text(context, `estimates of ∂F/∂${name}, one for each sample`, width / 2, 128, "center");
    const line = [[place(truth.gradient), 8], [place(truth.gradient), ROWS.axis]];
    stroke(context, line, { colour: colours.ink, width: 1.5, dash: [6, 4] });
    const means = { path: 0, weighted: 0 };
    draws.forEach((one, n) => {
      const jitter = ((n * 7) % 5) - 2; // so that dots on one place show
      disc(context, place(one.path), ROWS.path + 2 * jitter, 3.5, "transparent", colours.blue);
      const [x, y] = [place(one.weighted), ROWS.score + 2 * jitter];
      context.strokeStyle = colours.orange;
      context.strokeRect(x - 3, y - 3, 6, 6);
      means.path += one.path / draws.length;
      means.weighted += one.weighted / draws.length;
    });
    context.fillStyle = colours.ink;
    for (const [x, y] of [[means.path, ROWS.path], [means.weighted, ROWS.score]]) {
      context.beginPath();
      context.moveTo(place(x), y - 7);
      context.lineTo(place(x) - 6, y - 18);
      context.lineTo(place(x) + 6, y - 18);
      context.fill();
    }
    text(context, "○ pathwise", 0, ROWS.path - 12);
    text(context, "□ score", 0, ROWS.score - 12);
    text(context, "▼ mean   ╎ exact", width, ROWS.path - 22 + 1, "right");
  }

  live.files["trick-drawing"] = { drawPath, drawScore, drawRows, peak, fromPeak, HIGH, ROWS };
})();
