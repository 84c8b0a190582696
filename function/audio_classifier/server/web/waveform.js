// Samples -> the picture of how loud it is when.

/** The least and the greatest sample of each of `columns` stretches. */
export function peaks(samples, columns) {
  const step = samples.length / columns;
  return Array.from({ length: columns }, (_, column) => {
    let [least, most] = [0, 0];
    const end = Math.max(Math.floor(column * step) + 1, Math.floor((column + 1) * step));
    for (let i = Math.floor(column * step); i < end; i++) {
      least = Math.min(least, samples[i]);
      most = Math.max(most, samples[i]);
    }
    return [least, most];
  });
}

/** Draw them, as large as the canvas is shown, the loudest as high as it; quieter than a hundredth stays quiet. */
export function drawWaveform(canvas, extremes) {
  canvas.width = extremes.length;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  const loudest = Math.max(0.01, ...extremes.map(([least, most]) => Math.max(-least, most)));
  const middle = canvas.height / 2;
  extremes.forEach(([least, most], column) => {
    const top = middle - (most / loudest) * middle;
    context.fillRect(column, top, 1, Math.max(devicePixelRatio, ((most - least) / loudest) * middle));
  });
}
