// The four panels of the VAE that trains in the page.
(function () {
  "use strict";
  const live = window.VaeLive;
  if (live.files["trainer-panels"]) return;
  const SIZE = 340; // units of a panel's width
  const FONT = "13px system-ui, sans-serif";
  const COLOURS = ["ink", "blue", "orange", "green", "pink"]; // twice, the second time in bold

  // Grey pictures side by side; `values` are the ink of all pixels, picture after picture.
  function sheet(values, side, columns, { ink, paper }) {
    const count = values.length / side ** 2;
    const canvas = live.make("canvas", {
      width: columns * (side + 1), height: Math.ceil(count / columns) * (side + 1),
    });
    const context = canvas.getContext("2d");
    const data = context.createImageData(canvas.width, canvas.height);
    const [dark, light] = [ink, paper].map((colour) =>
      [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
    for (let n = 0; n < values.length; n++) {
      const picture = Math.floor(n / side ** 2), y = Math.floor(n / side) % side, x = n % side;
      const row = Math.floor(picture / columns) * (side + 1) + y;
      const to = 4 * (row * canvas.width + (picture % columns) * (side + 1) + x);
      for (let c = 0; c < 3; c++) data.data[to + c] = light[c] + values[n] * (dark[c] - light[c]);
      data.data[to + 3] = 255;
    }
    context.putImageData(data, 0, 0);
    return canvas;
  }

  function put(context, pictures, x, y, scale) {
    context.imageSmoothingEnabled = false;
    context.drawImage(pictures, x, y, pictures.width * scale, pictures.height * scale);
  }

  // Text on a patch of paper.
  function label(context, text, x, y, align, { ink, paper }) {
    context.font = FONT;
    context.textAlign = align;
    context.textBaseline = "middle";
    const width = context.measureText(text).width;
    const left = align === "left" ? x : align === "right" ? x - width : x - width / 2;
    context.fillStyle = paper;
    context.fillRect(left - 2, y - 8, width + 4, 16);
    context.fillStyle = ink;
    context.fillText(text, x, y);
  }

  // The codes of the test images. It reaches 4, or twice as far as often as one coordinate in
  // twenty would lie outside.
  class LatentMap {
    constructor() {
      this.reach = 4;
    }

    place(z1, z2) {
      const scale = SIZE / 2 / this.reach;
      return [SIZE / 2 + scale * z1, SIZE / 2 - scale * z2];
    }

    code(x, y) {
      const within = (value) => Math.max(-this.reach, Math.min(this.reach, value));
      const scale = this.reach / (SIZE / 2);
      return [within((x - SIZE / 2) * scale), within((SIZE / 2 - y) * scale)];
    }

    zoom(mu) {
      const far = mu.map(Math.abs).sort();
      const most = far[Math.floor(0.95 * far.length)];
      while (most > this.reach) this.reach *= 2;
      while (this.reach > 4 && most < 0.4 * this.reach) this.reach /= 2;
    }

    draw(context, colours, { data, last, shown }, cross) {
      this.zoom(last.mu);
      this.prior(context, colours);
      this.codes(context, colours, data.labels, last.mu);
      this.posteriors(context, colours, last, shown);
      context.strokeStyle = colours.faint;
      context.strokeRect(0.5, 0.5, SIZE - 1, SIZE - 1);
      label(context, `z₁ and z₂ from −${this.reach} to ${this.reach}`, 6, SIZE - 12, "left", colours);
      label(context, "dashed: prior, σ and 2σ", SIZE - 6, 12, "right", colours);
      this.cross(context, colours, this.place(...cross));
    }

    prior(context, { ink }) {
      context.strokeStyle = ink;
      context.setLineDash([4, 3]);
      for (const radius of [1, 2]) {
        context.beginPath();
        context.arc(SIZE / 2, SIZE / 2, (radius * SIZE) / 2 / this.reach, 0, 2 * Math.PI);
        context.stroke();
      }
      context.setLineDash([]);
    }

    codes(context, colours, labels, mu) {
      context.textAlign = "center";
      context.textBaseline = "middle";
      labels.forEach((digit, i) => {
        context.fillStyle = colours[COLOURS[digit % 5]];
        context.font = digit < 5 ? FONT : `bold ${FONT}`;
        context.fillText(digit, ...this.place(mu[2 * i], mu[2 * i + 1]));
      });
    }

    // One standard deviation of q(z | x) around each digit of the rows.
    posteriors(context, { ink }, { mu, sigma }, shown) {
      const scale = SIZE / 2 / this.reach;
      context.strokeStyle = ink;
      context.lineWidth = 1.5;
      for (const i of shown) {
        const [x, y] = this.place(mu[2 * i], mu[2 * i + 1]);
        context.beginPath();
        context.ellipse(x, y, sigma[2 * i] * scale, sigma[2 * i + 1] * scale, 0, 0, 2 * Math.PI);
        context.stroke();
      }
      context.lineWidth = 1;
    }

    cross(context, { ink, paper }, [x, y]) {
      for (const [colour, width] of [[paper, 7], [ink, 3]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        context.moveTo(x - 10, y);
        context.lineTo(x + 10, y);
        context.moveTo(x, y - 10);
        context.lineTo(x, y + 10);
        context.stroke();
      }
      context.lineWidth = 1;
    }
  }

  const CURVES = [
    ["−ELBO", "ink", [], ({ reconstruction, kl }) => reconstruction + kl],
    ["reconstruction", "blue", [6, 4], ({ reconstruction }) => reconstruction],
    ["KL", "orange", [2, 3], ({ kl }) => kl],
  ];

  // Nats against steps. `marks` are steps at which a setting changed.
  function curves(context, colours, { history, baseline }, { end, marks, height }) {
    const [left, right, top, bottom] = [36, SIZE - 8, 26, height - 24];
    const most = Math.max(...history.map((one) => one.reconstruction + one.kl), 190);
    const step = [50, 100, 200, 500, 1000].find((one) => most / one <= 5) || 5000;
    const highest = Math.ceil(most / step) * step;
    const x = (steps) => left + ((right - left) * steps) / end;
    const y = (nats) => bottom - ((bottom - top) * nats) / highest;
    const line = (points, colour, dash, width) => {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.beginPath();
      points.forEach((point) => context.lineTo(...point));
      context.stroke();
      context.setLineDash([]);
    };
    for (let nats = 0; nats <= highest; nats += step) {
      line([[left, y(nats)], [right, y(nats)]], colours.faint, [], 1);
      label(context, nats, left - 5, y(nats), "right", colours);
    }
    for (const share of [0, 0.5, 1]) {
      const align = ["left", "center", "right"][2 * share];
      label(context, (share * end).toLocaleString("en"), x(share * end), height - 10, align, colours);
    }
    line([[left, y(baseline)], [right, y(baseline)]], colours.ink, [1, 4], 1.5);
    label(context, `${baseline.toFixed(1)} without latents`, right, y(baseline) - 10, "right", colours);
    for (const { at, text } of marks) {
      line([[x(at), top], [x(at), bottom]], colours.ink, [1, 2], 1);
      label(context, text, x(at), top + 10, x(at) > SIZE / 2 ? "right" : "left", colours);
    }
    let place = left;
    for (const [name, colour, dash, of] of CURVES) {
      line(history.map((one) => [x(one.step), y(of(one))]), colours[colour], dash, 2.5);
      line([[place, 11], [place + 24, 11]], colours[colour], dash, 2.5);
      label(context, name, place + 29, 11, "left", colours);
      place += 44 + context.measureText(name).width;
    }
    context.lineWidth = 1;
  }

  // Two rows of digits, and the decoded cross at twice their size and more.
  function rows(context, colours, { data, last, across }, { decoded, cross }) {
    put(context, sheet(last.rows, data.side, across, colours), 0, 4, 2);
    put(context, sheet(decoded, data.side, 1, colours), 4, 92, 7);
    context.strokeStyle = colours.faint;
    context.strokeRect(4.5, 91.5, 112, 112);
    const [z1, z2] = cross.map((z) => z.toFixed(2).replace("-", "−"));
    ["Drag the cross on the", "map: this is what its", "code becomes.", `z = (${z1}, ${z2})`].forEach(
      (text, i) => label(context, text, 132, 112 + 24 * i, "left", colours));
  }

  function grid(context, colours, { data, last, across }) {
    put(context, sheet(last.grid, data.side, across, colours), 0, 0, 2);
  }

  live.files["trainer-panels"] = { SIZE, LatentMap, curves, rows, grid };
})();
