// Draws a spectrogram on the mel scale.

import { paint } from "./ramp.js";

const FRAME = 1024;
const BANDS = 96;
const LOW_HZ = 60;
const HIGH_HZ = 7500;
const RANGE_DB = 70;
const MAX_FRAMES_PER_COLUMN = 4; // limits the time for long recordings
const COLUMNS_AT_ONCE = 100;

const mel = (hz) => 1127 * Math.log1p(hz / 700);
const hz = (mels) => 700 * Math.expm1(mels / 1127);

/** Return the vertical position of a frequency, from 0 at the bottom to 1. */
export const height = (frequencyHz) => (mel(frequencyHz) - mel(LOW_HZ)) / (mel(HIGH_HZ) - mel(LOW_HZ));

/** Draw in steps, so that the page stays responsive, until `signal` is aborted. */
export async function drawSpectrogram(canvas, samples, rateHz, columns, signal) {
  const bands = filters(rateHz);
  const decibels = new Float32Array(columns * BANDS);
  const step = samples.length / columns;
  const frames = Math.min(MAX_FRAMES_PER_COLUMN, Math.max(1, Math.round(step / (FRAME / 2))));
  for (let column = 0; column < columns; column++) {
    if (column % COLUMNS_AT_ONCE === COLUMNS_AT_ONCE - 1) await new Promise((resume) => setTimeout(resume));
    signal.throwIfAborted();
    const energies = new Float32Array(BANDS);
    for (let frame = 0; frame < frames; frame++) {
      const centre = Math.floor((column + (frame + 0.5) / frames) * step);
      const power = powerSpectrum(samples, centre - FRAME / 2);
      bands.forEach((weights, band) => weights.forEach(([bin, weight]) => (energies[band] += weight * power[bin])));
    }
    energies.forEach((energy, band) => (decibels[column * BANDS + band] = 10 * Math.log10(energy / frames + 1e-10)));
  }
  const loudest = decibels.reduce((most, value) => Math.max(most, value), -60);
  paint(canvas, columns, BANDS, (column, row) => (decibels[column * BANDS + BANDS - 1 - row] - loudest) / RANGE_DB + 1);
}

/** Return triangular filters as lists of `[bin, weight]`; the lowest bands are narrower than a bin. */
function filters(rateHz) {
  const edges = Array.from({ length: BANDS + 2 }, (_, i) => {
    return (hz(mel(LOW_HZ) + ((mel(HIGH_HZ) - mel(LOW_HZ)) * i) / (BANDS + 1)) * FRAME) / rateHz;
  });
  return Array.from({ length: BANDS }, (_, band) => {
    const [from, centre, to] = edges.slice(band, band + 3);
    const inside = [];
    for (let bin = Math.ceil(from); bin < to; bin++) {
      inside.push([bin, bin < centre ? (bin - from) / (centre - from) : (to - bin) / (to - centre)]);
    }
    return inside.length ? inside : [[Math.round(centre), 1]];
  });
}

const WINDOW = Float32Array.from({ length: FRAME }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FRAME));
const COSINES = Float32Array.from({ length: FRAME / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / FRAME));
const SINES = Float32Array.from({ length: FRAME / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / FRAME));
const BITS = Math.log2(FRAME);
const REVERSED = Uint16Array.from({ length: FRAME }, (_, i) => {
  let reversed = 0;
  for (let bit = 0; bit < BITS; bit++) reversed |= ((i >> bit) & 1) << (BITS - 1 - bit);
  return reversed;
});

/** Return the power spectrum of the frame at `start`, padded with silence, by an in-place Cooley-Tukey FFT. */
function powerSpectrum(samples, start) {
  const real = Float32Array.from(REVERSED, (index) => WINDOW[index] * (samples[start + index] ?? 0));
  const imaginary = new Float32Array(FRAME);
  for (let half = 1; half < FRAME; half *= 2) {
    const stride = FRAME / (2 * half);
    for (let block = 0; block < FRAME; block += 2 * half) {
      for (let k = 0; k < half; k++) {
        const [even, odd, turn] = [block + k, block + k + half, k * stride];
        const re = real[odd] * COSINES[turn] - imaginary[odd] * SINES[turn];
        const im = real[odd] * SINES[turn] + imaginary[odd] * COSINES[turn];
        real[odd] = real[even] - re;
        imaginary[odd] = imaginary[even] - im;
        real[even] += re;
        imaginary[even] += im;
      }
    }
  }
  return real.subarray(0, FRAME / 2 + 1).map((re, bin) => re * re + imaginary[bin] * imaginary[bin]);
}
