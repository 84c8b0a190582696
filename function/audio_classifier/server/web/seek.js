// Keeps the position in the recording in step between player, pictures and keyboard.

const STEP_S = 0.96;
const PAGE_S = 10;

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const precise = (seconds) => `${clock(seconds)}.${Math.floor((seconds % 1) * 10)}`;

export class Seeker {
  #surface;
  #player;
  #describe;
  #onMove;
  #durationS = 0;

  /** `describe(seconds)` returns the predictions as text; `onMove(text)` gets the position with this text. */
  constructor(surface, player, describe, onMove) {
    this.#surface = surface;
    this.#player = player;
    this.#describe = describe;
    this.#onMove = onMove;
    surface.addEventListener("keydown", (event) => this.#key(event));
    surface.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      surface.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    surface.addEventListener("pointermove", (event) => {
      if (surface.hasPointerCapture(event.pointerId)) this.#point(event);
    });
    for (const name of ["timeupdate", "seeked", "pause", "loadedmetadata"]) player.addEventListener(name, () => this.show());
    player.addEventListener("play", () => this.#follow());
  }

  begin(durationS) {
    this.#durationS = durationS;
    this.#surface.setAttribute("aria-valuemax", durationS.toFixed(1));
    this.show();
  }

  to(seconds) {
    this.#player.currentTime = Math.min(this.#durationS, Math.max(0, seconds));
    this.show();
  }

  /** Move the playhead to the position of the player. */
  show() {
    const seconds = Math.min(this.#durationS, this.#player.currentTime);
    const text = `${precise(seconds)}${this.#describe(seconds)}`;
    this.#surface.style.setProperty("--position", this.#durationS ? seconds / this.#durationS : 0);
    this.#onMove(text);
    if (!this.#player.paused) return; // screen readers would announce every change during playback
    this.#surface.setAttribute("aria-valuenow", seconds.toFixed(1));
    this.#surface.setAttribute("aria-valuetext", text);
  }

  /** Update the playhead in every frame during playback, because `timeupdate` fires only four times a second. */
  #follow() {
    this.show();
    if (!this.#player.paused) requestAnimationFrame(() => this.#follow());
  }

  #point(event) {
    const { left, width } = this.#surface.getBoundingClientRect();
    this.to(((event.clientX - left) / width) * this.#durationS);
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = this.#player.currentTime;
    const targets = {
      ArrowLeft: at - STEP_S,
      ArrowDown: at - STEP_S,
      ArrowRight: at + STEP_S,
      ArrowUp: at + STEP_S,
      PageDown: at - PAGE_S,
      PageUp: at + PAGE_S,
      Home: 0,
      End: this.#durationS,
    };
    if (event.key in targets) this.to(targets[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.#player[this.#player.paused ? "play" : "pause"]();
    else return;
    event.preventDefault();
  }
}
