// Two estimators of the derivative of F = E[f(z)] for z = mu + sigma * eps, as in chapter 4: their
// draws, and their means and variances by quadrature.
(function () {
  "use strict";

  // `ticks`: values of f, from the lowest to the highest one drawn; `reach`: how far the arrows show a sample's motion.
  const FUNCTIONS = {
    square: { text: "z²", value: (z) => z * z, slope: (z) => 2 * z, ticks: [0, 3, 6, 9], reach: 0.3 },
    wave: {
      text: "sin 12z", value: (z) => Math.sin(12 * z), slope: (z) => 12 * Math.cos(12 * z),
      ticks: [-1, 0, 1], reach: 0.04,
    },
    jump: {
      text: "a jump at 0", value: (z) => +(z > 0), slope: () => 0,
      ticks: [0, 1], reach: 0.3,
    },
  };
  const LIMITS = { mu: [-1.5, 2.5], sigma: [0.1, 1], shift: [-10, 10] };
  const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));

  // What one eps gives in the state {f, by, mu, sigma, shift}, where `by` is "mu" or "sigma".
  function draw({ f, by, mu, sigma, shift }, eps) {
    const z = mu + sigma * eps;
    const value = FUNCTIONS[f].value(z) + shift;
    const motion = by === "mu" ? 1 : eps; // dz / d by
    const score = (by === "mu" ? eps : eps * eps - 1) / sigma; // d log q / d by, equation (4.4)
    const path = FUNCTIONS[f].slope(z) * motion;
    return { eps, z, value, motion, score, path, weighted: value * score };
  }

  // E[g(eps)], by three points of Gauss and Legendre in each of many pieces. A piece ends where f
  // jumps, since the rule is exact for smooth functions only.
  const FAR = 9; // beyond it there is less than 1e-18 of the noise
  const PIECES = 400;
  const NODES = [-Math.sqrt(0.6), 0, Math.sqrt(0.6)];
  const WEIGHTS = [5 / 18, 8 / 18, 5 / 18];
  function expectations(g, jump) {
    const ends = [-FAR, clamp(jump, [-FAR, FAR]), FAR];
    const sums = [];
    for (let side = 0; side < 2; side++) {
      const width = (ends[side + 1] - ends[side]) / PIECES;
      for (let piece = 0; piece < PIECES; piece++) {
        NODES.forEach((node, k) => {
          const eps = ends[side] + width * (piece + 0.5 + node / 2);
          const density = Math.exp(-0.5 * eps * eps) / Math.sqrt(2 * Math.PI);
          g(eps).forEach((value, n) => {
            sums[n] = (sums[n] || 0) + WEIGHTS[k] * width * density * value;
          });
        });
      }
    }
    return sums;
  }

  // The exact derivative, the mean of a pathwise draw, and the variances of one draw.
  function exact(state) {
    const [gradient, path, pathSquared, squared] = expectations((eps) => {
      const one = draw(state, eps);
      return [one.weighted, one.path, one.path ** 2, one.weighted ** 2];
    }, -state.mu / state.sigma);
    return {
      gradient, path,
      pathVariance: Math.max(0, pathSquared - path ** 2),
      scoreVariance: squared - gradient ** 2,
    };
  }

  function noise(seed, count = 20) {
    const random = window.VaeLive.nn.random(seed);
    return Array.from({ length: count }, random.normal);
  }

  window.VaeLive.files["trick-math"] = { FUNCTIONS, LIMITS, clamp, draw, exact, noise };
})();
