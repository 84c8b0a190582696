// A heat map of class probabilities over time, which grows as the windows of a timeline arrive.

import { paint } from "./ramp.js";

const ROWS = 8;
const MAX_COLUMNS = 2048;

export class Heatmap {
  #canvas;
  #rows;
  #durationS = 0;
  #windows = [];
  #peaks = new Map(); // the highest probability of each class, and the start of its window, by label

  constructor(canvas, rows) {
    this.#canvas = canvas;
    this.#rows = rows;
  }

  begin(durationS) {
    this.#durationS = durationS;
    this.#windows = [];
    this.#peaks = new Map();
    this.draw();
  }

  /** Add the next window, `{start, end, predictions}`. */
  add({ start, end, predictions }) {
    const probabilities = new Map(predictions.map(({ label, probability }) => [label, probability]));
    this.#windows.push({ centreS: (start + end) / 2, endS: end, probabilities });
    probabilities.forEach((probability, label) => {
      if (probability > (this.#peaks.get(label)?.probability ?? -1)) this.#peaks.set(label, { probability, start });
    });
  }

  /** Return the predictions at a time as `[label, probability]`, most probable first; empty if not yet known. */
  at(timeS) {
    const window = this.#windows[this.#nearest(timeS)];
    return window && timeS <= this.#knownUntilS ? [...window.probabilities] : [];
  }

  /** Draw all windows so far.  The rows are the classes with the highest peaks, in the order of their peaks. */
  draw() {
    const labels = [...this.#peaks]
      .sort(([, a], [, b]) => b.probability - a.probability)
      .slice(0, ROWS)
      .sort(([, a], [, b]) => a.start - b.start)
      .map(([label]) => label);
    this.#rows.replaceChildren(
      ...Array.from({ length: ROWS }, (_, index) => {
        const row = document.createElement("li");
        row.textContent = row.title = labels[index] ?? "";
        return row;
      }),
    );
    const columns = Math.min(MAX_COLUMNS, Math.max(1, Math.ceil(this.#durationS * 20)));
    const maxima = Array.from({ length: columns }, (_, column) => this.#maximum(column, columns));
    paint(this.#canvas, columns, ROWS, (column, row) => maxima[column](labels[row]));
  }

  /** The end of the last window. */
  get #knownUntilS() {
    return this.#windows.at(-1)?.endS ?? 0;
  }

  /** Return a function from a label to its highest probability in the windows of a column. */
  #maximum(column, columns) {
    const [fromS, toS] = [column, column + 1].map((edge) => (edge / columns) * this.#durationS);
    if (fromS >= this.#knownUntilS) return () => undefined;
    const inside = this.#windows.slice(this.#nearest(fromS), this.#nearest(toS) + 1);
    return (label) => inside.reduce((most, { probabilities }) => Math.max(most, probabilities.get(label) ?? 0), 0);
  }

  /** Return the index of the window whose centre is nearest to a time. */
  #nearest(timeS) {
    let [low, high] = [0, this.#windows.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#windows[middle].centreS + this.#windows[middle + 1].centreS > 2 * timeS) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
