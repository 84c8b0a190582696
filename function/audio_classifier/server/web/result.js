// Shows the result for a recording: predictions, pictures, a timeline, and the equivalent curl commands.

import { classify, command, timeline } from "./api.js";
import { Heatmap } from "./heatmap.js";
import { $, element, setStatus, show } from "./page.js";
import { paint } from "./ramp.js";
import { Seeker, clock } from "./seek.js";
import { RATE_HZ, decode } from "./sound.js";
import { drawSpectrogram, height } from "./spectrogram.js";
import { describeWarning } from "./warnings.js";
import { drawWaveform, peaks } from "./waveform.js";

const CLIP_S = 10; // the predictions cover only the first seconds of a longer recording
const COLUMNS = 1200;
const TICKS_S = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
const FREQUENCIES_HZ = [250, 1000, 4000];

const percent = (probability) => `${Math.round(probability * 100)} %`;

const listed = (predictions) =>
  predictions.map(({ label, probability }) => `${label} ${percent(probability)}`).join(", ");

const busyMessage = (seconds) => `The server is busy. Trying again in ${seconds} s …`;

const player = $("player");
const heatmap = new Heatmap($("heatmap"), $("rows"));
const seeker = new Seeker($("seek"), player, describe, (text) => ($("readout").textContent = text));

const objectUrls = []; // of blobs, to be revoked
let waveform = [];
let warnings = new Map(); // by code, of the predictions and of the timeline

/** Hide the result and release its resources. */
export function clear() {
  player.pause();
  player.removeAttribute("src");
  player.load();
  objectUrls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  heatmap.begin(0);
  waveform = [];
  warnings = new Map();
  for (const id of ["result", "warnings", "rows", "heatmap", "legend", "events", "jsonl", "sound"]) show(id, false);
  $("events").open = false;
  $("timeline-note").textContent = "";
}

/** Classify a file and show the result, until `signal` is aborted. */
export async function present(file, signal) {
  const decoding = decode(file);
  const onWait = (seconds) => setStatus(seconds ? busyMessage(seconds) : "Classifying …");
  const answer = await classify(file, { signal, onWait });
  const samples = await decoding;
  signal.throwIfAborted();

  const durationS = samples ? samples.length / RATE_HZ : 0;
  const long = durationS > CLIP_S;
  $("name").textContent = $("name").title = file.name;
  $("facts").textContent = [samples && clock(durationS), bytes(file.size)].filter(Boolean).join(" · ");
  $("curl").textContent = command(file.name, false);
  offerDownload("json", new Blob([answer], { type: "application/json" }), `${file.name}.json`);
  if (file.type === "audio/wav") offerDownload("sound", file, file.name);
  const { predictions, warnings: found = [] } = JSON.parse(answer);
  showClasses(predictions, long);
  found.forEach(addWarning);
  show("undecodable", !samples);
  show("player", samples);
  show("pictures", samples);
  show("result", true);
  document.body.classList.add("filled");
  setStatus(predictions.length ? `Predictions: ${listed(predictions)}.` : "No class was detected.");
  $("status").classList.add("visually-hidden"); // only for screen readers: the page shows the classes
  if (!samples) return;

  player.src = objectUrl(file);
  $("pictures-title").textContent = long ? "Timeline" : "Waveform and spectrogram";
  seeker.begin(durationS);
  drawAxis(durationS);
  waveform = peaks(samples, COLUMNS);
  drawWaveform($("waveform"), waveform);
  const drawing = drawSpectrogram($("spectrogram"), samples, RATE_HZ, COLUMNS, signal);
  await Promise.all([drawing, long && showTimeline(file, durationS, signal)]);
}

async function showTimeline(file, durationS, signal) {
  const events = [];
  const lines = [];
  let drawScheduled = false;
  const draw = () => {
    drawScheduled = false;
    if (signal.aborted) return;
    heatmap.draw();
    seeker.show();
  };
  heatmap.begin(durationS);
  for (const id of ["rows", "heatmap", "legend"]) show(id, true);
  $("curl").textContent += `\n${command(file.name, true)}`;
  const onWait = (seconds) =>
    ($("timeline-note").textContent = seconds ? busyMessage(seconds) : "Classifying the whole recording …");
  try {
    for await (const [text, line] of timeline(file, { signal, onWait })) {
      lines.push(text);
      if (line.window) heatmap.add(line.window);
      if (line.event) events.push(line.event);
      if (line.warning) addWarning(line.warning);
      if (!drawScheduled) requestAnimationFrame(draw);
      drawScheduled = true;
    }
    signal.throwIfAborted();
    $("timeline-note").textContent = "Click the pictures to move to that time. On the keyboard, the arrow keys move and Enter plays.";
    offerDownload("jsonl", new Blob([`${lines.join("\n")}\n`], { type: "application/x-ndjson" }), `${file.name}.jsonl`);
  } catch (error) {
    if (signal.aborted) throw error;
    $("timeline-note").textContent = `The timeline is not complete. ${error.message} ${error.hint ?? ""}`;
  }
  draw();
  showEvents(events.sort((a, b) => a.start - b.start));
}

function showClasses(predictions, long) {
  $("classes").replaceChildren(
    ...predictions.map(({ label, probability }) => {
      const row = element("li");
      const bar = element("div", "", "bar");
      bar.append(element("div"));
      bar.firstElementChild.style.width = `${probability * 100}%`;
      row.append(element("span", label), element("span", percent(probability), "number"), bar);
      return row;
    }),
  );
  const scope = long ? `In the first ${CLIP_S} seconds. ` : "";
  $("classes-note").textContent = predictions.length ? scope : `${scope}No class was detected.`;
}

function addWarning(warning) {
  warnings.set(warning.code, describeWarning(warning));
  $("warnings").replaceChildren(...[...warnings.values()].map((text) => element("li", text)));
  show("warnings", true);
}

function showEvents(events) {
  $("events").querySelector("tbody").replaceChildren(
    ...events.map(({ label, start, end, peak }) => {
      const row = element("tr");
      const from = element("button", clock(start), "link");
      from.type = "button";
      from.setAttribute("aria-label", `Play ${label} at ${clock(start)}`);
      from.addEventListener("click", () => {
        seeker.to(start);
        player.play();
      });
      row.append(element("th", label), element("td"), element("td", clock(end)), element("td", percent(peak)));
      row.firstElementChild.scope = "row";
      row.children[1].append(from);
      return row;
    }),
  );
  show("events", events.length);
}

function drawAxis(durationS) {
  const step = TICKS_S.find((candidate) => durationS / candidate <= 6) ?? 3600;
  const ticks = Array.from({ length: Math.floor(durationS / step) + 1 }, (_, index) => {
    const tick = element("span", clock(index * step));
    tick.style.left = `${((index * step) / durationS) * 100}%`;
    return tick;
  });
  $("axis").replaceChildren(...ticks);
}

function describe(seconds) {
  const predictions = heatmap.at(seconds).slice(0, 3).map(([label, probability]) => ({ label, probability }));
  return predictions.length ? ` – ${listed(predictions)}` : "";
}

/** Return an object URL of a blob, which `clear` revokes. */
function objectUrl(blob) {
  const url = URL.createObjectURL(blob);
  objectUrls.push(url);
  return url;
}

function offerDownload(id, blob, name) {
  $(id).href = objectUrl(blob);
  $(id).download = name;
  show(id, true);
}

function bytes(count) {
  if (count < 1e6) return `${Math.max(1, Math.round(count / 1e3))} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

for (const frequencyHz of FREQUENCIES_HZ) {
  const tick = element("span", frequencyHz < 1000 ? `${frequencyHz} Hz` : `${frequencyHz / 1000} kHz`);
  tick.style.bottom = `${height(frequencyHz) * 100}%`;
  $("frequencies").append(tick);
}

paint($("legend").querySelector("canvas"), 128, 1, (column) => column / 127);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (waveform.length) drawWaveform($("waveform"), waveform);
});
