// The colour map viridis, by Stéfan van der Walt and Nathaniel Smith (CC0).  Equal steps of a value look equal, also to
// colour-blind people and in greyscale.

const STOPS = "440154481a6c472f7d41448739568c31688e2a788e23888e1f988b22a88435b77954c5687ad151a5db36d2e21bfde725"
  .match(/../g).map((digits) => parseInt(digits, 16));
const LAST = STOPS.length / 3 - 1;

/** 256 colours from the lowest to the highest value, as a `Uint32Array` of ImageData pixels. */
export const RAMP = Uint32Array.from({ length: 256 }, (_, index) => {
  const position = (index / 255) * LAST;
  const stop = Math.min(LAST - 1, Math.floor(position));
  const mixed = [0, 1, 2].map((channel) => {
    const [from, to] = [STOPS[stop * 3 + channel], STOPS[stop * 3 + 3 + channel]];
    return Math.round(from + (to - from) * (position - stop));
  });
  return new Uint32Array(new Uint8ClampedArray([...mixed, 255]).buffer)[0];
});

/**
 * Resize a canvas to `columns` by `rows`, and paint `value(column, row)`, from 0 to 1, as one pixel each.
 *
 * Rows are counted from the top.  A pixel whose value is `undefined` stays transparent.
 */
export function paint(canvas, columns, rows, value) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const level = value(column, row);
      if (level === undefined) continue;
      pixels[row * columns + column] = RAMP[Math.round(255 * Math.min(1, Math.max(0, level)))];
    }
  }
  context.putImageData(image, 0, 0);
}
