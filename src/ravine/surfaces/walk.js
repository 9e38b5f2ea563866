"use strict";
// Paths over surfaces, in the arithmetic that Python has: see paths.py and noise.py, line by line.
const ravine = (() => {
  function mix(x) {
    x ^= x >>> 16;
    x = Math.imul(x, 0x21f0aaad);
    x ^= x >>> 15;
    x = Math.imul(x, 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  }

  // Two standard normal numbers a step, for a seed of 32 bits.
  function noise(seed, steps) {
    const found = new Float64Array(2 * steps);
    const seedLow = mix((seed ^ ravine.stream[0]) >>> 0);
    const seedHigh = mix((ravine.stream[1] + seedLow) >>> 0);
    const uniform = (low, high, i) => {
      let word = mix((low + i) >>> 0);
      word ^= ((high << 1) | (low >>> 31)) >>> 0;
      word = Math.imul(word, 0x6c8e9cf5);
      return (((word ^ (word >>> 16)) >>> 0) + 0.5) * 2 ** -32;
    };
    for (let step = 0; step < steps; step++) {
      let low = mix((step ^ seedLow) >>> 0);
      const high = mix((seedHigh + low) >>> 0);
      low = mix((low ^ high) >>> 0);
      const radius = Math.sqrt(-2 * Math.log(uniform(low, high, 0)));
      const turn = 2 * Math.PI * uniform(low, high, 1);
      found[2 * step] = radius * Math.cos(turn);
      found[2 * step + 1] = radius * Math.sin(turn);
    }
    return found;
  }

  // What a rule does on a surface. `count` points are finite, the start first; each step's point, state and gradient
  // are kept beside it. `draws` are standard normal numbers, or null for no noise.
  function walk(rule, surface, { start, hypers, params, steps, scale, draws }) {
    const slots = rule.slots;
    const points = new Float64Array(2 * (steps + 1)), losses = new Float64Array(steps + 1);
    const at = new Float64Array(2 * (steps + 1)), states = new Float64Array(slots * (steps + 1));
    const grads = new Float64Array(2 * (steps + 1));
    const x = Float64Array.from(start), state = new Float64Array(slots), out = new Float64Array(2 + slots);
    const weights = new Float64Array(2), where = new Float64Array(2), grad = new Float64Array(2), loss = [0];
    rule.init(x, state);
    let count = 0;
    for (let step = 0; step <= steps; step++) {
      rule.weights(x, state, hypers, weights);
      surface.loss(weights, params, loss);
      if (!Number.isFinite(weights[0]) || !Number.isFinite(weights[1]) || !Number.isFinite(loss[0])) break;
      points.set(weights, 2 * step);
      losses[step] = loss[0];
      at.set(x, 2 * step);
      states.set(state, slots * step);
      count++;
      rule.gradientAt(x, state, hypers, where);
      surface.slope(where, params, grad);
      if (step === steps) break;
      if (draws) {
        grad[0] += scale * draws[2 * step];
        grad[1] += scale * draws[2 * step + 1];
      }
      grads.set(grad, 2 * step);
      rule.update(x, state, hypers, grad, step + 1, out);
      x[0] += out[0];
      x[1] += out[1];
      for (let i = 0; i < slots; i++) state[i] = out[2 + i];
    }
    return { points, losses, count, at, states, grads };
  }

  // One step taken apart: what the rule would do without a gradient, and what the gradient adds.
  function parts(rule, path, step, hypers) {
    const x = path.at.subarray(2 * step, 2 * step + 2);
    const state = path.states.subarray(rule.slots * step, rule.slots * (step + 1));
    const whole = new Float64Array(2 + rule.slots), past = new Float64Array(2 + rule.slots);
    rule.update(x, state, hypers, path.grads.subarray(2 * step, 2 * step + 2), step + 1, whole);
    rule.update(x, state, hypers, new Float64Array(2), step + 1, past);
    return { step: [whole[0], whole[1]], past: [past[0], past[1]] };
  }

  return { noise, walk, parts };
})();
