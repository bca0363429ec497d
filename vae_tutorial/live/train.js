// A small VAE that is trained in the page: dense layers on batches, the objective with its
// gradient by hand, and Adam. Everything is Float64Array. A matrix lies row after row; a row is
// an image, so a layer computes Y = X W + b with W (inputs × outputs).
(function () {
  "use strict";
  const live = window.VaeLive;
  if (live.files.train) return;

  const ones = new Int32Array(4096);

  // C += A B for A (m × k), B (k × n), C (m × n), in blocks of four rows and four columns of A:
  // to read and write numbers takes longer than to multiply them.
  function multiply(A, B, C, m, k, n) {
    const rows = m - (m % 4), columns = k - (k % 4);
    for (let r = 0; r < rows; r += 4) {
      for (let i = 0; i < columns; i += 4) block(A, B, C, r * k + i, i * n, r * n, k, n);
    }
    for (let r = 0; r < m; r++) {
      for (let i = r < rows ? columns : 0; i < k; i++) single(A[r * k + i], B, C, i * n, r * n, n);
    }
  }

  // Sixteen numbers of A from `at` on, four rows of B from `from` on, four rows of C from `to` on.
  function block(A, B, C, at, from, to, k, n) {
    const a = A[at], b = A[at + 1], c = A[at + 2], d = A[at + 3];
    at += k;
    const e = A[at], f = A[at + 1], g = A[at + 2], h = A[at + 3];
    at += k;
    const o = A[at], p = A[at + 1], q = A[at + 2], r = A[at + 3];
    at += k;
    const s = A[at], t = A[at + 1], u = A[at + 2], v = A[at + 3];
    const from2 = from + n, from3 = from2 + n, from4 = from3 + n;
    const to2 = to + n, to3 = to2 + n, to4 = to3 + n;
    for (let j = 0; j < n; j++) {
      const w = B[from + j], x = B[from2 + j], y = B[from3 + j], z = B[from4 + j];
      C[to + j] += a * w + b * x + c * y + d * z;
      C[to2 + j] += e * w + f * x + g * y + h * z;
      C[to3 + j] += o * w + p * x + q * y + r * z;
      C[to4 + j] += s * w + t * x + u * y + v * z;
    }
  }

  function single(a, B, C, from, to, n) {
    for (let j = 0; j < n; j++) C[to + j] += a * B[from + j];
  }

  // The same for an A of zeros and ones: only the ones count, and most pixels are paper.
  function multiplyImages(A, B, C, m, k, n) {
    for (let r = 0; r < m; r++) {
      let count = 0;
      for (let i = 0; i < k; i++) if (A[r * k + i] !== 0) ones[count++] = i * n;
      let i = count % 4;
      for (let rest = 0; rest < i; rest++) single(1, B, C, ones[rest], r * n, n);
      for (; i < count; i += 4) four(B, C, ones[i], ones[i + 1], ones[i + 2], ones[i + 3], r * n, n);
    }
  }

  function four(B, C, a, b, c, d, to, n) {
    for (let j = 0; j < n; j++) C[to + j] += B[a + j] + B[b + j] + B[c + j] + B[d + j];
  }

  function transpose(A, m, n, into) {
    for (let r = 0; r < m; r++) for (let j = 0; j < n; j++) into[j * m + r] = A[r * n + j];
    return into;
  }

  // One dense layer. `take` hands out its part of the model's parameters and gradients.
  class Layer {
    constructor(inputs, outputs, capacity, take, images) {
      Object.assign(this, { inputs, outputs, multiply: images ? multiplyImages : multiply });
      [this.weight, this.weightGradient] = take(inputs * outputs);
      [this.bias, this.biasGradient] = take(outputs);
      this.y = new Float64Array(capacity * outputs);
      this.xGradient = new Float64Array(capacity * inputs);
      this.xTurned = new Float64Array(capacity * inputs);
      this.weightTurned = new Float64Array(inputs * outputs);
    }

    // The outputs of `count` rows, through tanh where `bend` is true. Valid until the next call.
    forward(x, count, bend) {
      const { y, bias, outputs } = this;
      for (let b = 0; b < count; b++) y.set(bias, b * outputs);
      this.multiply(x, this.weight, y, count, this.inputs, outputs);
      if (bend) for (let i = 0; i < count * outputs; i++) y[i] = Math.tanh(y[i]);
      return y;
    }

    // From the gradient by W x + b: stores those by weight and bias, returns the one by x.
    backward(x, gradient, count, needsX = true) {
      const { inputs, outputs, biasGradient } = this;
      const turned = transpose(x, count, inputs, this.xTurned);
      this.multiply(turned, gradient, this.weightGradient.fill(0), inputs, count, outputs);
      biasGradient.fill(0);
      for (let b = 0; b < count; b++) {
        for (let o = 0; o < outputs; o++) biasGradient[o] += gradient[b * outputs + o];
      }
      if (!needsX) return null;
      transpose(this.weight, inputs, outputs, this.weightTurned);
      multiply(gradient, this.weightTurned, this.xGradient.fill(0), count, outputs, inputs);
      return this.xGradient;
    }
  }

  // Binary images x; q(z | x) is a normal with mean μ and variance σ², p(z) a standard normal,
  // and p(x | z) one coin for each pixel. Encoder and decoder have one hidden layer of tanh each.
  class Vae {
    constructor({ pixels, hidden, latents, seed, capacity = 128 }) {
      Object.assign(this, { pixels, hidden, latents, capacity });
      const shapes = [[pixels, hidden], [hidden, 2 * latents], [latents, hidden], [hidden, pixels]];
      const size = shapes.reduce((sum, [i, o]) => sum + i * o + o, 0);
      this.parameters = new Float64Array(size);
      this.gradients = new Float64Array(size);
      let at = 0;
      const take = (count) => {
        at += count;
        return [this.parameters, this.gradients].map((all) => all.subarray(at - count, at));
      };
      this.layers = shapes.map(([i, o], n) => new Layer(i, o, capacity, take, n === 0));
      const random = live.nn.random(seed);
      for (const { weight, inputs } of this.layers) {
        for (let i = 0; i < weight.length; i++) {
          weight[i] = (2 * random.uniform() - 1) / Math.sqrt(inputs);
        }
      }
      for (const name of ["mu", "logvar", "z"]) {
        this[name] = new Float64Array(capacity * latents);
      }
      this.codeGradient = new Float64Array(capacity * 2 * latents);
      this.probability = new Float64Array(capacity * pixels);
      this.pixelGradient = new Float64Array(capacity * pixels);
    }

    // x (count × pixels) to `mu` and `logvar`, and with the noise eps to z = μ + σ ε.
    encode(x, eps, count) {
      const { latents, mu, logvar, z } = this;
      const code = this.layers[1].forward(this.layers[0].forward(x, count, true), count, false);
      for (let b = 0; b < count; b++) {
        for (let d = 0; d < latents; d++) {
          const i = b * latents + d;
          mu[i] = code[b * 2 * latents + d];
          logvar[i] = code[b * 2 * latents + latents + d];
          z[i] = mu[i] + Math.exp(logvar[i] / 2) * eps[i];
        }
      }
      return z;
    }

    // z (count × latents) to the probability of ink in each pixel.
    decode(z, count) {
      const { probability, pixels } = this;
      const logits = this.layers[3].forward(this.layers[2].forward(z, count, true), count, false);
      for (let i = 0; i < count * pixels; i++) probability[i] = 1 / (1 + Math.exp(-logits[i]));
      return probability;
    }

    // After encode and decode: −log p(x | z) and KL of each image, in nats, summed over pixels
    // and over latents.
    terms(x, count) {
      const { pixels, latents, mu, logvar } = this;
      const logits = this.layers[3].y;
      const reconstruction = new Float64Array(count);
      const kl = new Float64Array(count);
      for (let b = 0; b < count; b++) {
        for (let i = b * pixels; i < (b + 1) * pixels; i++) {
          const l = logits[i];
          reconstruction[b] += Math.max(l, 0) - x[i] * l + Math.log(1 + Math.exp(-Math.abs(l)));
        }
        for (let i = b * latents; i < (b + 1) * latents; i++) {
          kl[b] += (mu[i] * mu[i] + Math.exp(logvar[i]) - 1 - logvar[i]) / 2;
        }
      }
      return { reconstruction, kl };
    }

    // The gradient of mean over images of (reconstruction + β KL), or with `mean` of
    // (reconstruction / pixels + β KL), by all parameters; into `gradients`.
    differentiate(x, eps, count, { beta, mean }) {
      const { pixels, latents, layers, mu, logvar, z, pixelGradient, codeGradient } = this;
      this.encode(x, eps, count);
      const probability = this.decode(z, count);
      const scale = 1 / (count * (mean ? pixels : 1));
      for (let i = 0; i < count * pixels; i++) pixelGradient[i] = scale * (probability[i] - x[i]);
      const zGradient = this.back(2, z, pixelGradient, count);
      for (let b = 0; b < count; b++) {
        for (let d = 0; d < latents; d++) {
          const i = b * latents + d, j = b * 2 * latents + d;
          const sigma = Math.exp(logvar[i] / 2);
          codeGradient[j] = zGradient[i] + (beta * mu[i]) / count;
          codeGradient[j + latents] =
            (zGradient[i] * eps[i] * sigma) / 2 + (beta * (sigma * sigma - 1)) / (2 * count);
        }
      }
      this.back(0, x, codeGradient, count, false);
    }

    // Back through two layers, the first of which is `first`, with tanh between them.
    back(first, x, gradient, count, needsX = true) {
      const [below, above] = this.layers.slice(first, first + 2);
      const h = below.y;
      const hGradient = above.backward(h, gradient, count);
      for (let i = 0; i < count * below.outputs; i++) hGradient[i] *= 1 - h[i] * h[i];
      return below.backward(x, hGradient, count, needsX);
    }
  }

  // Adam (Kingma and Ba, 2015) with its usual constants.
  class Adam {
    constructor(size) {
      [this.m, this.v, this.steps] = [new Float64Array(size), new Float64Array(size), 0];
    }

    step(parameters, gradients, rate) {
      const { m, v } = this;
      this.steps += 1;
      const first = 1 - 0.9 ** this.steps, second = 1 - 0.999 ** this.steps;
      for (let i = 0; i < m.length; i++) {
        const g = gradients[i];
        m[i] += 0.1 * (g - m[i]);
        v[i] += 0.001 * (g * g - v[i]);
        parameters[i] -= (rate * (m[i] / first)) / (Math.sqrt(v[i] / second) + 1e-8);
      }
    }
  }

  // One training: a model, Adam, and from one seed all that is random.
  class Run {
    constructor(images, { pixels, hidden = 64, latents = 2, seed, batch = 64 }) {
      Object.assign(this, { images, batch, step: 0 });
      this.model = new Vae({ pixels, hidden, latents, seed });
      this.adam = new Adam(this.model.parameters.length);
      this.random = live.nn.random(seed + 1e6); // not the numbers of the weights again
      this.order = Uint32Array.from({ length: images.length / pixels }, (_, i) => i);
      this.perEpoch = Math.floor(this.order.length / batch);
      this.x = new Float64Array(batch * pixels);
      this.eps = new Float64Array(batch * latents);
    }

    advance({ beta, mean, rate }) {
      this.draw();
      this.model.differentiate(this.x, this.eps, this.batch, { beta, mean });
      this.adam.step(this.model.parameters, this.model.gradients, rate);
      this.step += 1;
    }

    // The next batch and its noise. Each epoch goes through the images in a new order.
    draw() {
      const { order, batch, random, x, eps, images, model } = this;
      const turn = this.step % this.perEpoch;
      for (let i = order.length - 1; turn === 0 && i > 0; i--) {
        const j = Math.floor(random.uniform() * (i + 1));
        [order[i], order[j]] = [order[j], order[i]];
      }
      for (let b = 0; b < batch; b++) {
        const at = order[turn * batch + b] * model.pixels;
        x.set(images.subarray(at, at + model.pixels), b * model.pixels);
      }
      for (let i = 0; i < eps.length; i++) eps[i] = random.normal();
    }
  }

  live.files.train = { multiply, Layer, Vae, Adam, Run };
})();
