// The microphone -> samples.

import { Problem } from "./api.js";

const REFUSALS = {
  NotAllowedError: ["The microphone was refused.", "Allow it in the browser's settings of this site, or choose a file."],
  NotFoundError: ["There is no microphone.", "Connect one, or choose a file."],
  NotReadableError: ["The microphone cannot be used.", "Another program may be using it."],
};

/**
 * Record until `stop` is aborted, the microphone goes away, or `limitS` are over.
 *
 * `onProgress(seconds, peak)` hears of it all along.  Rejects when `cancel` is aborted, whenever that is.
 */
export async function record({ limitS, stop, cancel, onProgress }) {
  const stream = await microphone();
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(new URL("capture.worklet.js", import.meta.url));
    cancel.throwIfAborted();
    const capture = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
    // Its output is silent; what leads nowhere may not be run.
    new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(capture).connect(context.destination);

    const blocks = [];
    const limit = limitS * context.sampleRate;
    let count = 0;
    await new Promise((resolve, reject) => {
      capture.port.onmessage = ({ data: block }) => {
        blocks.push(block);
        count += block.length;
        onProgress(Math.min(limitS, count / context.sampleRate), block.reduce((peak, x) => Math.max(peak, Math.abs(x)), 0));
        if (count >= limit) resolve();
      };
      stream.getAudioTracks()[0].onended = resolve;
      stop.addEventListener("abort", resolve);
      cancel.addEventListener("abort", () => reject(cancel.reason));
    }).finally(() => (capture.port.onmessage = null)); // a block may still be on its way
    const samples = new Float32Array(count);
    blocks.reduce((offset, block) => (samples.set(block, offset), offset + block.length), 0);
    return { samples: samples.subarray(0, limit), rateHz: context.sampleRate };
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    context.close();
  }
}

async function microphone() {
  if (!navigator.mediaDevices) {
    throw new Problem("The browser lets no page at this address use the microphone.", "It does over https, and on localhost.");
  }
  try {
    // As it sounds: what makes calls clearer takes sounds away.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new Problem(...(REFUSALS[error.name] ?? ["The microphone cannot be used.", error.message]));
  }
}
