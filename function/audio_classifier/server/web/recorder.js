// Records samples from the microphone.

import { UserError } from "./api.js";

const MESSAGES = {
  NotAllowedError: ["Access to the microphone was denied.", "Allow it in the browser's settings of this site, or choose a file."],
  NotFoundError: ["No microphone was found.", "Connect one, or choose a file."],
  NotReadableError: ["The microphone cannot be used.", "Another program may be using it."],
};

/**
 * Record until `stop` is aborted, the microphone is disconnected, or `limitS` have passed.
 *
 * Calls `onProgress(seconds, peak)` after each block.  Rejects when `cancel` is aborted.
 */
export async function record({ limitS, stop, cancel, onProgress }) {
  const stream = await microphone();
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(new URL("capture.worklet.js", import.meta.url));
    cancel.throwIfAborted();
    const capture = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
    // The worklet's output is silent, but browsers may not run a node that is not connected to the destination.
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
    }).finally(() => (capture.port.onmessage = null)); // another block may still arrive
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
    throw new UserError(
      "The browser does not allow pages at this address to use the microphone.",
      "Open the page over https or on localhost.",
    );
  }
  try {
    // The processing for calls would remove sounds that the classifier can recognize.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new UserError(...(MESSAGES[error.name] ?? ["The microphone cannot be used.", error.message]));
  }
}
