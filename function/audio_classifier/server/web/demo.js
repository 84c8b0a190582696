// Opens a recording from a file, a sample or the microphone, and classifies it.

import { ApiKeyError, UserError, setApiKey } from "./api.js";
import { $, setStatus, show } from "./page.js";
import { record } from "./recorder.js";
import { clear, present } from "./result.js";
import { clock } from "./seek.js";
import { RATE_HZ, resample } from "./sound.js";
import { encodeWav } from "./wav.js";

const RECORDING_LIMIT_S = 60;

let current = new AbortController(); // of the latest choice, which aborts all earlier ones
let stopRecording = new AbortController();
let chosen; // the file to classify again with an API key

$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) choose(() => file);
  $("file").value = ""; // otherwise choosing the same file again triggers no event
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

$("key-use").addEventListener("click", classifyWithKey);
$("key-value").addEventListener("keydown", (event) => {
  if (event.key === "Enter") classifyWithKey();
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
    if (!file) throw new UserError("The dropped item is not a file.", "Drop an audio file.");
    return file;
  });
});

async function sample(name, signal) {
  setStatus("Loading the sample …");
  const response = await fetch(new URL(name, import.meta.url), { signal }).catch((error) => {
    throw signal.aborted ? error : new UserError("The server cannot be reached.", "Check your network connection.");
  });
  if (!response.ok) throw new UserError("The sample cannot be loaded.", `The server answered with status ${response.status}.`);
  return new File([await response.blob()], name, { type: "audio/wav" });
}

async function recorded(signal) {
  setStatus("Waiting for the microphone …");
  stopRecording = new AbortController();
  const onProgress = (seconds, peak) => {
    if ($("recording").hidden) {
      setStatus("Recording.");
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
    if (!samples.length) throw new UserError("Nothing was recorded.", "Record for a longer time.");
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
  setStatus("");
}

function classifyWithKey() {
  choose(() => {
    setApiKey($("key-value").value.trim());
    return chosen;
  });
}

/** Abort the previous choice, then classify and show the file that `open(signal)` returns. */
async function choose(open) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  clear();
  show("error", false);
  show("key", false);
  setStatus("");
  try {
    const file = await open(signal);
    if (!file.size) throw new UserError("The file is empty.", "Choose another file.");
    await file.slice(0, 1).arrayBuffer().catch(() => {
      throw new UserError("The file cannot be read.", "Choose another file, or a file in the folder.");
    });
    signal.throwIfAborted();
    chosen = file;
    await present(file, signal);
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

function fail(error) {
  const known = error instanceof UserError;
  if (!known) console.error(error);
  const [title, hint] = $("error").children;
  title.textContent = known ? error.message : "An unexpected error occurred.";
  hint.textContent = known ? error.hint : "Try again. The browser's console shows details.";
  setStatus("");
  show("error", true);
  show("key", error instanceof ApiKeyError);
  if (error instanceof ApiKeyError) $("key-value").focus();
}

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("curl")); // without https there is no clipboard, so the user copies it
    $("copy").textContent = "Selected";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
});

$("limit").textContent = clock(RECORDING_LIMIT_S);
