// The pen on a strip of six pixels, the model of chapter 3: its posterior by quadrature, the terms
// of the bar log p(x) = ELBO + KL for a normal q, and gradient steps for that q.
(function () {
  "use strict";

  const END = 10; // the grid runs from −END to END, so far that no q leaves any of itself outside
  const COUNT = 1001;
  const STEP = (2 * END) / (COUNT - 1);
  const GRID = Float64Array.from({ length: COUNT }, (_, i) => i * STEP - END);
  const HALF_LOG_2PI = 0.5 * Math.log(2 * Math.PI);
  const LIMITS = { mu: [-2, 3], sigma: [0.1, 1.2] };
  const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));
  const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
  // The density of N(mu, sigma²) at z.
  const normal = (z, mu, sigma) =>
    Math.exp(-0.5 * ((z - mu) / sigma) ** 2 - HALF_LOG_2PI) / sigma;

  // log p(x, z) and its derivative at every z of the grid, and log p(x), for an image "000110".
  function model(image) {
    const bits = [...image].map(Number);
    const joint = new Float64Array(COUNT);
    const slope = new Float64Array(COUNT);
    let evidence = 0;
    GRID.forEach((z, i) => {
      const pen = 5 * Math.exp(-0.5 * (z - 0.8) ** 2);
      const motion = -(z - 0.8) * pen; // d pen / dz
      joint[i] = -0.5 * z * z - HALF_LOG_2PI;
      slope[i] = -z;
      bits.forEach((bit, pixel) => {
        const logit = 2.5 - 1.5 * (pixel - pen) ** 2;
        joint[i] += bit * logit - softplus(logit);
        slope[i] += (bit - 1 / (1 + Math.exp(-logit))) * 3 * (pixel - pen) * motion;
      });
      evidence += Math.exp(joint[i]) * STEP;
    });
    return { image, joint, slope, evidence: Math.log(evidence) };
  }

  // All that is shown for q = N(mu, sigma²), in nats, each by its own sum; and the derivatives of
  // the ELBO and of minus the forward divergence, with respect to mu and log sigma.
  function terms({ joint, slope, evidence }, mu, sigma) {
    const t = { elbo: 0, gap: 0, forward: 0, up: [0, 1], cover: [0, -1] };
    for (let i = 0; i < COUNT; i++) {
      const far = (GRID[i] - mu) / sigma;
      const logQ = -0.5 * far * far - Math.log(sigma) - HALF_LOG_2PI;
      const q = Math.exp(logQ) * STEP;
      const logP = joint[i] - evidence;
      const p = Math.exp(logP) * STEP;
      t.elbo += q * (joint[i] - logQ);
      t.gap += q * (logQ - logP);
      t.forward += p * (logP - logQ);
      t.up[0] += q * slope[i];
      t.up[1] += q * slope[i] * (GRID[i] - mu);
      t.cover[0] += (p * far) / sigma;
      t.cover[1] += p * far * far;
    }
    return t;
  }

  // One gradient step for mu and log sigma, `direction` "up" or "cover"; false where it stands.
  const RATE = 0.01;
  const LONGEST = 0.01; // far from an optimum the gradient is too large to follow at full length
  function advance(now, q, direction) {
    const [a, b] = terms(now, q.mu, q.sigma)[direction];
    const scale = RATE * Math.min(1, LONGEST / (RATE * Math.hypot(a, b)));
    const mu = clamp(q.mu + scale * a, LIMITS.mu);
    const sigma = clamp(q.sigma * Math.exp(scale * b), LIMITS.sigma);
    const moved = Math.hypot(mu - q.mu, Math.log(sigma / q.sigma));
    Object.assign(q, { mu, sigma });
    return moved > 3e-6;
  }

  // log p(x, z) between two points of the grid.
  function jointAt({ joint }, z) {
    const at = (z + END) / STEP;
    const i = Math.floor(at);
    return joint[i] + (at - i) * (joint[i + 1] - joint[i]);
  }

  window.VaeLive.files["bound-math"] = { model, terms, advance, jointAt, normal, clamp, LIMITS };
})();
