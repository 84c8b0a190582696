// The ways to choose a sound, of which the last one counts.

import { Problem } from "./api.js";
import { $, say, show } from "./page.js";
import { record } from "./recorder.js";
import { clear, present } from "./result.js";
import { clock } from "./seek.js";
import { RATE_HZ, resample } from "./sound.js";
import { encodeWav } from "./wav.js";

const RECORDING_LIMIT_S = 60;

let current = new AbortController(); // of what was chosen last: everything before it is void
let stopRecording = new AbortController();

$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) choose(() => file);
  $("file").value = ""; // the same may be chosen again
});

for (const button of document.querySelectorAll("[data-sample]")) {
  button.addEventListener("click", () => choose((signal) => sample(button.dataset.sample, signal)));
}

$("record").addEventListener("click", () => choose(recorded));
$("stop").addEventListener("click", () => stopRecording.abort());
$("cancel").addEventListener("click", cancelRecording);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("recording").hidden) cancelRecording();
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  choose(() => {
    if (!file) throw new Problem("That is no file.", "Drop a sound file.");
    return file;
  });
});

async function sample(name, signal) {
  say("Fetching the sound …");
  const response = await fetch(new URL(name, import.meta.url), { signal }).catch((error) => {
    throw signal.aborted ? error : new Problem("The server cannot be reached.", "Is the network there?");
  });
  if (!response.ok) throw new Problem("The sound cannot be fetched.", `The server answered with status ${response.status}.`);
  return new File([await response.blob()], name, { type: "audio/wav" });
}

async function recorded(signal) {
  say("Waiting for the microphone …");
  stopRecording = new AbortController();
  const onProgress = (seconds, peak) => {
    if ($("recording").hidden) {
      say("Recording.");
      show("choose", false);
      show("recording", true);
      $("stop").focus();
    }
    $("elapsed").textContent = clock(seconds);
    const decibels = Math.max(-60, 20 * Math.log10(peak));
    $("level").setAttribute("aria-valuenow", Math.round(decibels));
    $("level").firstElementChild.style.transform = `scaleX(${1 + decibels / 60})`;
  };
  try {
    const { samples, rateHz } = await record({
      limitS: RECORDING_LIMIT_S, stop: stopRecording.signal, cancel: signal, onProgress,
    });
    if (!samples.length) throw new Problem("Nothing was recorded.", "Record a little longer.");
    const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
    return new File([encodeWav(await resample(samples, rateHz), RATE_HZ)], `recording-${time}.wav`, { type: "audio/wav" });
  } finally {
    const focused = $("recording").contains(document.activeElement);
    show("recording", false);
    show("choose", true);
    if (focused) $("record").focus();
  }
}

function cancelRecording() {
  current.abort();
  say("");
}

/** Do away with what was, and show what `open(signal)` brings. */
async function choose(open) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  clear();
  show("error", false);
  say("");
  try {
    const file = await open(signal);
    if (!file.size) throw new Problem("The file is empty.", "Choose another one.");
    await file.slice(0, 1).arrayBuffer().catch(() => {
      throw new Problem("The file cannot be read.", "Choose another one; of a folder, one of its files.");
    });
    signal.throwIfAborted();
    await present(file, signal);
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

function fail(error) {
  const known = error instanceof Problem;
  if (!known) console.error(error);
  const [title, hint] = $("error").children;
  title.textContent = known ? error.message : "This page does not understand what it got.";
  hint.textContent = known ? error.hint : "Try again, or look into the browser's console.";
  say("");
  show("error", true);
}

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("curl")); // to be copied by hand: without https there is no clipboard
    $("copy").textContent = "Selected";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
});

$("limit").textContent = clock(RECORDING_LIMIT_S);
