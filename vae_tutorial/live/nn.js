// Dense networks for live figures: a layer is {weight: Float32Array (out × in), bias, inputs,
// outputs, activation}, a network a list of layers.
(function () {
  "use strict";
  const live = window.VaeLive;
  if (live.nn) return;

  const ACTIVATIONS = {
    none: (a) => a,
    relu: (a) => (a > 0 ? a : 0),
    tanh: Math.tanh,
    sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  };

  // y = activation(W x + b) through all layers; x is an array of numbers.
  function forward(network, x) {
    for (const { weight, bias, inputs, outputs, activation } of network) {
      const f = ACTIVATIONS[activation];
      const y = new Float32Array(outputs);
      for (let o = 0; o < outputs; o++) {
        let sum = bias[o];
        const row = o * inputs;
        for (let i = 0; i < inputs; i++) sum += weight[row + i] * x[i];
        y[o] = f(sum);
      }
      x = y;
    }
    return x;
  }

  // float16 bits, little endian in base64, to float32.
  function halves(base64) {
    const text = atob(base64);
    const values = new Float32Array(text.length / 2);
    for (let n = 0; n < values.length; n++) {
      const bits = text.charCodeAt(2 * n) | (text.charCodeAt(2 * n + 1) << 8);
      const exponent = (bits >> 10) & 31;
      const fraction = (bits & 1023) / 1024;
      const size = exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14;
      values[n] = bits & 0x8000 ? -size : size;
    }
    return values;
  }

  // The networks of a data file that `vae_tutorial.live.pack` wrote: {encoder: [layers], …}.
  function networks(file) {
    const values = halves(file.float16);
    let at = 0;
    const take = (count) => values.subarray(at, (at += count));
    const read = ({ inputs, outputs, activation }) => ({
      inputs, outputs, activation, weight: take(inputs * outputs), bias: take(outputs),
    });
    return Object.fromEntries(
      Object.entries(file.networks).map(([name, layers]) => [name, layers.map(read)]),
    );
  }

  // A random number generator that gives the same numbers everywhere (mulberry32), and normal
  // ones from it (Box and Muller).
  function random(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const normal = () =>
      Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal };
  }

  live.nn = { forward, halves, networks, random, ACTIVATIONS };
})();
