// Draws a waveform.

/** Return the lowest and the highest sample of each of `columns` sections. */
export function peaks(samples, columns) {
  const step = samples.length / columns;
  return Array.from({ length: columns }, (_, column) => {
    let [lowest, highest] = [0, 0];
    const end = Math.max(Math.floor(column * step) + 1, Math.floor((column + 1) * step));
    for (let i = Math.floor(column * step); i < end; i++) {
      lowest = Math.min(lowest, samples[i]);
      highest = Math.max(highest, samples[i]);
    }
    return [lowest, highest];
  });
}

/**
 * Draw the extremes at the displayed size of the canvas, scaled to its height.
 *
 * Recordings with a peak below 0.01 are not scaled up further, so that they still look quiet.
 */
export function drawWaveform(canvas, extremes) {
  canvas.width = extremes.length;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  const peak = Math.max(0.01, ...extremes.map(([lowest, highest]) => Math.max(-lowest, highest)));
  const middle = canvas.height / 2;
  extremes.forEach(([lowest, highest], column) => {
    const top = middle - (highest / peak) * middle;
    context.fillRect(column, top, 1, Math.max(devicePixelRatio, ((highest - lowest) / peak) * middle));
  });
}
