// Decodes audio files, and resamples them to mono at the sample rate of the classifier.

export const RATE_HZ = 16000;
const MAX_DECODED_S = 3600; // may take over a gigabyte while the browser decodes it

/** Return the samples of a file, or `null` if it is too long or the browser does not support its format. */
export async function decode(file) {
  try {
    if ((await durationOf(file)) > MAX_DECODED_S) return null;
    const buffer = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(await file.arrayBuffer());
    return buffer.length ? mixed(buffer) : null;
  } catch {
    return null;
  }
}

/** Return the duration in the file's metadata in seconds, without decoding the file. */
function durationOf(file) {
  const url = URL.createObjectURL(file);
  return new Promise((resolve, reject) => {
    const audio = new Audio();
    audio.onloadedmetadata = () => resolve(audio.duration);
    audio.onerror = reject;
    audio.src = url;
  }).finally(() => URL.revokeObjectURL(url));
}

/** Return the mean of the channels, written over the first one, because a copy of a long recording is large. */
function mixed(buffer) {
  const samples = buffer.getChannelData(0);
  const count = buffer.numberOfChannels;
  for (let index = 1; index < count; index++) {
    const channel = buffer.getChannelData(index);
    for (let i = 0; i < samples.length; i++) samples[i] += channel[i];
  }
  if (count > 1) for (let i = 0; i < samples.length; i++) samples[i] /= count;
  return samples;
}

/** Resample to `RATE_HZ`. */
export async function resample(samples, rateHz) {
  if (rateHz === RATE_HZ) return samples;
  const context = new OfflineAudioContext(1, Math.ceil((samples.length * RATE_HZ) / rateHz), RATE_HZ);
  const buffer = context.createBuffer(1, samples.length, rateHz);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}
