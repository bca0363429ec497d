// What the figure "bound" draws: the densities over the code z, and the bar.
(function () {
  "use strict";
  const live = window.VaeLive;
  const { jointAt, normal } = live.files["bound-math"];

  const VIEW = [-2.5, 3.5];
  const TOP = 4.2; // the highest density shown
  const HIGH = 290;
  const EDGE = { left: 26, right: 8, top: 22, bottom: 40 };
  const across = (width) => (width - EDGE.left - EDGE.right) / (VIEW[1] - VIEW[0]);
  const placeX = (z, width) => EDGE.left + (z - VIEW[0]) * across(width);
  const UP = (HIGH - EDGE.top - EDGE.bottom) / TOP;
  const placeY = (density) => HIGH - EDGE.bottom - density * UP;
  const FONT = "13px system-ui, sans-serif";

  function path(context, width, density) {
    context.beginPath();
    for (let x = EDGE.left; x <= width - EDGE.right; x += 1) {
      const z = VIEW[0] + (x - EDGE.left) / across(width);
      context.lineTo(x, placeY(density(z)));
    }
  }

  function axes(context, colours, width) {
    context.fillStyle = context.strokeStyle = colours.ink;
    context.font = FONT;
    context.lineWidth = 1;
    context.strokeRect(EDGE.left, placeY(0), width - EDGE.left - EDGE.right, 0);
    context.textAlign = "center";
    for (let z = -2; z <= 3; z++) {
      context.fillRect(placeX(z, width) - 0.5, placeY(0), 1, 4);
      context.fillText(live.number(z, 0), placeX(z, width), placeY(0) + 17);
    }
    context.fillText("code z", placeX(0.5, width), HIGH - 6);
    context.textAlign = "right";
    for (let d = 0; d <= 4; d++) context.fillText(String(d), EDGE.left - 6, placeY(d) + 4);
    context.textAlign = "left";
    context.fillText("density (per unit of z)", 0, 13);
  }

  function legend(context, colours, width) {
    const left = width - 104;
    const rows = [["p(z | x)", "posterior"], ["q(z)", "q"], ["prior p(z)", "prior"]];
    rows.forEach(([text, kind], n) => {
      const y = 30 + 20 * n;
      context.fillStyle = colours.ink;
      context.fillText(text, left + 30, y + 4);
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(left + 24, y);
      line(context, colours, kind);
    });
  }

  function line(context, colours, kind) {
    context.setLineDash(kind === "prior" ? [2, 3] : []);
    context.lineWidth = { posterior: 9, q: 2.5, prior: 1.5 }[kind];
    context.strokeStyle = { posterior: colours.faint, q: colours.blue, prior: colours.ink }[kind];
    context.stroke();
    context.setLineDash([]);
  }

  function drawDensities(context, colours, width, now, q) {
    axes(context, colours, width);
    path(context, width, (z) => Math.exp(jointAt(now, z) - now.evidence));
    context.lineTo(width - EDGE.right, placeY(0));
    context.lineTo(EDGE.left, placeY(0));
    context.fillStyle = colours.faint;
    context.fill();
    path(context, width, (z) => normal(z, 0, 1));
    line(context, colours, "prior");
    path(context, width, (z) => normal(z, q.mu, q.sigma));
    line(context, colours, "q");
    context.beginPath();
    context.arc(placeX(q.mu, width), placeY(normal(q.mu, q.mu, q.sigma)), 8, 0, 7);
    context.fillStyle = colours.blue;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = colours.paper;
    context.stroke();
    legend(context, colours, width);
  }

  const LEAST = -16; // nats at the bar's left end, as in Figure 3.1
  const BAR = { top: 24, height: 36, high: 82 };

  function drawBar(context, colours, width, now, t) {
    const unit = (width - 66) / -LEAST;
    const end = unit * (now.evidence - LEAST);
    const cut = Math.max(0, unit * (t.elbo - LEAST)); // where the ELBO ends
    context.font = FONT;
    context.globalAlpha = 0.25;
    context.fillStyle = colours.blue;
    context.fillRect(0, BAR.top, cut, BAR.height);
    context.fillStyle = colours.orange;
    context.fillRect(cut, BAR.top, end - cut, BAR.height);
    context.globalAlpha = 1;
    hatch(context, colours.orange, cut, end);
    context.lineWidth = 1;
    context.strokeStyle = context.fillStyle = colours.ink;
    context.strokeRect(0.5, BAR.top, end, BAR.height);
    context.fillRect(cut - 1, BAR.top, 2, BAR.height);
    context.beginPath();
    context.moveTo(end, 4);
    context.lineTo(end, BAR.top + BAR.height + 10);
    context.lineWidth = 1.5;
    context.setLineDash([5, 4]);
    context.stroke();
    context.setLineDash([]);
    const middle = BAR.top + BAR.height / 2 + 4.5;
    const total = `log p(x) = ${live.number(now.evidence, 2)} nats`;
    context.textAlign = "left";
    context.fillText(total, Math.max(0, end - 7 - context.measureText(total).width), 15);
    context.fillText(`${live.number(LEAST, 0)} nats`, 0, BAR.top + BAR.height + 17);
    const label = `ELBO ${live.number(t.elbo, 2)}`;
    const room = context.measureText(label).width;
    if (cut > room + 16) context.fillText(label, (cut - room) / 2, middle);
    else boxed(context, colours, t.elbo < LEAST ? `◂ ${label}` : label, cut + 8, middle);
    context.fillText(`KL ${live.number(t.gap, 2)}`, end + 7, middle);
  }

  function hatch(context, colour, left, right) {
    context.save();
    context.beginPath();
    context.rect(left, BAR.top, right - left, BAR.height);
    context.clip();
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    for (let x = left - BAR.height; x < right; x += 9) {
      context.moveTo(x, BAR.top + BAR.height);
      context.lineTo(x + BAR.height, BAR.top);
    }
    context.stroke();
    context.restore();
  }

  function boxed(context, colours, text, x, y) {
    context.fillStyle = colours.paper;
    context.fillRect(x - 4, y - 15, context.measureText(text).width + 8, 21);
    context.fillStyle = colours.ink;
    context.fillText(text, x, y);
  }

  // The peak of q in pixels, and the q whose peak is at a pixel: a peak's height tells its width.
  const peak = ({ mu, sigma }, width) => [placeX(mu, width), placeY(normal(mu, mu, sigma))];
  const fromPeak = (x, y, width) => ({
    mu: VIEW[0] + (x - EDGE.left) / across(width),
    sigma: normal(0, 0, 1) / Math.max(0.1, (placeY(0) - y) / UP),
  });

  live.files["bound-drawing"] = { drawDensities, drawBar, peak, fromPeak, HIGH, BAR };
})();
