// Windows of a timeline -> classes by time, as they come.

import { paint } from "./ramp.js";

const ROWS = 8;
const MAX_COLUMNS = 2048;

export class Heatmap {
  #canvas;
  #rows;
  #durationS = 0;
  #windows = [];
  #peaks = new Map(); // of each class, by its name: how probable it is at most, and when

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

  /** Add `{start, end, predictions}`, the next in time. */
  add({ start, end, predictions }) {
    const heard = new Map(predictions.map(({ label, probability }) => [label, probability]));
    this.#windows.push({ centreS: (start + end) / 2, endS: end, heard });
    heard.forEach((probability, label) => {
      if (probability > (this.#peaks.get(label)?.probability ?? -1)) this.#peaks.set(label, { probability, start });
    });
  }

  /** What is heard at a time, the most probable first, as `[label, probability]`s; empty if not known yet. */
  at(timeS) {
    const window = this.#windows[this.#nearest(timeS)];
    return window && timeS <= this.#reachS ? [...window.heard] : [];
  }

  /** As much as is known; the rows are the classes that are most probable anywhere, by when they are. */
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
    const heardIn = Array.from({ length: columns }, (_, column) => this.#strongest(column, columns));
    paint(this.#canvas, columns, ROWS, (column, row) => heardIn[column](labels[row]));
  }

  /** The next window begins after this. */
  get #reachS() {
    return this.#windows.at(-1)?.endS ?? 0;
  }

  /** The windows whose centres are nearest to a column's stretch of time: their greatest probability of a class. */
  #strongest(column, columns) {
    const [fromS, toS] = [column, column + 1].map((edge) => (edge / columns) * this.#durationS);
    if (fromS >= this.#reachS) return () => undefined;
    const inside = this.#windows.slice(this.#nearest(fromS), this.#nearest(toS) + 1);
    return (label) => inside.reduce((most, { heard }) => Math.max(most, heard.get(label) ?? 0), 0);
  }

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
