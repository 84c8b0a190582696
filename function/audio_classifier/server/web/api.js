// The client of the HTTP API, with error messages for the user.

const API = new URL("../model/predict", import.meta.url);
const TOP_K = 5;
const WINDOW_TOP_K = 12;
const NDJSON = "application/x-ndjson";
const MAX_WAIT_S = 30;

let apiKey = ""; // sent with each request, and held in memory only

const MESSAGES = {
  401: ["The server requires authentication.", "This page cannot sign its requests."],
  403: ["The server does not allow the request.", "This page cannot sign its requests."],
  413: ["The file is too large for this server.", "Shorten it, or convert it to FLAC, OGG or MP3."],
  429: ["The server receives too many requests.", "Try again later."],
  502: ["The server failed.", "Try again later."],
  503: ["The server is busy.", "Try again later."],
  504: ["The server took too long.", "Try a shorter recording."],
};

/** An error with a message and a hint for the user of the page. */
export class UserError extends Error {
  constructor(message, hint = "") {
    super(message);
    this.hint = hint;
  }
}

/** The server requires an API key, or another one. */
export class ApiKeyError extends UserError {}

/** Send this API key with all further requests. */
export function setApiKey(key) {
  if (!/^[!-~]+$/.test(key)) throw new ApiKeyError("This is not an API key.", "Enter the key without spaces.");
  apiKey = key;
}

/** Return the URL that answers with the predictions or with the timeline. */
function endpoint(timeline) {
  const query = timeline
    ? { timeline: true, window: 2.88, hop: 0.96, top_k: WINDOW_TOP_K }
    : { top_k: TOP_K };
  return `${API}?${new URLSearchParams(query)}`;
}

/** Return the equivalent curl command; any file name is quoted for the shell and for curl. */
export function command(name, timeline) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const inForm = name.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  const accept = timeline ? ` -H 'Accept: ${NDJSON}'` : "";
  const key = apiKey ? ' -H "X-Api-Key: $API_KEY"' : ""; // not the key itself, which may be copied elsewhere
  return `curl -F ${quoted(`audio=@"${inForm}"`)}${accept}${key} ${quoted(endpoint(timeline))}`;
}

/** Return the body of the response with the predictions. */
export async function classify(file, { signal, onWait }) {
  const response = await post(file, endpoint(false), "application/json", { signal, onWait });
  return read(() => response.text());
}

/** Yield the lines of the timeline as they arrive, each as `[text, parsed]`. */
export async function* timeline(file, { signal, onWait }) {
  const response = await post(file, endpoint(true), NDJSON, { signal, onWait });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let status = "";
  for (;;) {
    const { done, value } = await read(() => reader.read());
    const lines = done ? [rest] : (rest + value).split("\n");
    rest = done ? "" : lines.pop();
    for (const text of lines.filter(Boolean)) {
      const line = JSON.parse(text);
      if (line.status === "error") throw new UserError(sentence(line.message), line.hint);
      status = line.status ?? status;
      yield [text, line];
    }
    if (done) break;
  }
  if (status !== "ok") throw unreachable();
}

/**
 * Send the file, and once more if the server is busy.
 *
 * Calls `onWait(seconds)` with the pause before the second attempt, and with 0 before each attempt.
 */
async function post(file, url, accept, { signal, onWait }) {
  for (let retry = true; ; retry = false) {
    const body = new FormData();
    body.append("audio", file, file.name);
    onWait(0);
    const headers = { Accept: accept, ...(apiKey && { "X-Api-Key": apiKey }) };
    const response = await read(() => fetch(url, { method: "POST", body, headers, signal }));
    if (response.ok) return response;
    if (response.status !== 503 || !retry) throw await userError(response);
    const waitS = Math.min(MAX_WAIT_S, Number(response.headers.get("Retry-After")) || 1);
    onWait(waitS);
    await pause(waitS, signal);
  }
}

/** Convert an error response; responses of gateways have another format and messages that do not help users. */
async function userError(response) {
  const answer = await response.json().catch(() => ({}));
  if (answer?.code === "unauthorized") {
    return new ApiKeyError(
      apiKey ? "The server does not accept this API key." : "This server requires an API key.",
      "The operator of the server issues keys.",
    );
  }
  if (answer?.status === "error" && typeof answer.message === "string") {
    return new UserError(sentence(answer.message), typeof answer.hint === "string" ? answer.hint : "");
  }
  return new UserError(...(MESSAGES[response.status] ?? [`The server answered with status ${response.status}.`]));
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

const unreachable = () =>
  new UserError(
    "The server cannot be reached.",
    "Check your network connection. Servers also close the connection if a file is too large.",
  );

/** Run `work`, and replace the browser's error for a broken connection, which does not help users. */
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
