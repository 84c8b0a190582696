// The interface behind the page, and its errors in words.

const API = new URL("../model/predict", import.meta.url);
const TOP_K = 5;
const WINDOW_TOP_K = 12;
const LINES = "application/x-ndjson";
const MAX_WAIT_S = 30;

const WORDS = {
  401: ["The server wants to know who asks.", "This page cannot sign its requests."],
  403: ["The server does not allow it.", "This page cannot sign its requests."],
  413: ["The file is too large for this server.", "Cut it, or make it a FLAC, OGG or MP3."],
  429: ["Too many are asking.", "Try again in a while."],
  502: ["The server failed.", "Try again in a while."],
  503: ["The server is busy.", "Try again in a while."],
  504: ["The server took too long.", "Try a shorter recording."],
};

/** What went wrong and the way out, in words for whoever uses the page. */
export class Problem extends Error {
  constructor(message, hint = "") {
    super(message);
    this.hint = hint;
  }
}

/** Where the answer for the recording, or that for its timeline, comes from. */
export function address(timeline) {
  const query = timeline
    ? { timeline: true, window: 2.88, hop: 0.96, top_k: WINDOW_TOP_K }
    : { top_k: TOP_K };
  return `${API}?${new URLSearchParams(query)}`;
}

/** The command that gets the same; a shell and curl take any name of a file as it is. */
export function command(name, timeline) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const inForm = name.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  const accept = timeline ? ` -H 'Accept: ${LINES}'` : "";
  return `curl -F ${quoted(`audio=@"${inForm}"`)}${accept} ${quoted(address(timeline))}`;
}

/** The answer's text. */
export async function classify(file, { signal, onWait }) {
  const response = await post(file, address(false), "application/json", { signal, onWait });
  return read(() => response.text());
}

/** The lines of the timeline's answer as they come, each as `[text, parsed]`. */
export async function* timeline(file, { signal, onWait }) {
  const response = await post(file, address(true), LINES, { signal, onWait });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let status = "";
  for (;;) {
    const { done, value } = await read(() => reader.read());
    const lines = done ? [rest] : (rest + value).split("\n");
    rest = done ? "" : lines.pop();
    for (const text of lines.filter(Boolean)) {
      const line = JSON.parse(text);
      if (line.status === "error") throw new Problem(sentence(line.message), line.hint);
      status = line.status ?? status;
      yield [text, line];
    }
    if (done) break;
  }
  if (status !== "ok") throw unreachable();
}

/** The response; `onWait(seconds)` is told how long a busy server is left alone, and 0 when it is asked. */
async function post(file, url, accept, { signal, onWait }) {
  for (let again = true; ; again = false) {
    const body = new FormData();
    body.append("audio", file, file.name);
    onWait(0);
    const response = await read(() => fetch(url, { method: "POST", body, headers: { Accept: accept }, signal }));
    if (response.ok) return response;
    if (response.status !== 503 || !again) throw await problem(response);
    const waitS = Math.min(MAX_WAIT_S, Number(response.headers.get("Retry-After")) || 1);
    onWait(waitS);
    await pause(waitS, signal);
  }
}

/** What a gateway on the way answers has not our shape, and its words mean nothing to people. */
async function problem(response) {
  const answer = await response.json().catch(() => ({}));
  if (answer?.status === "error" && typeof answer.message === "string") {
    return new Problem(sentence(answer.message), typeof answer.hint === "string" ? answer.hint : "");
  }
  return new Problem(...(WORDS[response.status] ?? [`The server answered with status ${response.status}.`]));
}

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");

const unreachable = () =>
  new Problem("The server cannot be reached.", "Is the network there? A server also hangs up on files that are too large.");

/** What browsers say of a broken connection tells nobody anything. */
async function read(work) {
  try {
    return await work();
  } catch (error) {
    throw error instanceof TypeError ? unreachable() : error;
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}
