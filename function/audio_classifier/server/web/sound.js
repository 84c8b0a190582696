// Sound files and recordings -> mono samples at the rate that the classifier hears, too.

export const RATE_HZ = 16000;
const MAX_DECODED_S = 3600; // which may take over a gigabyte while the browser decodes it

/** The samples of a file, `null` if the browser knows nothing of its format or it is too long. */
export async function decode(file) {
  try {
    if ((await durationOf(file)) > MAX_DECODED_S) return null;
    const buffer = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(await file.arrayBuffer());
    return buffer.length ? mixed(buffer) : null;
  } catch {
    return null;
  }
}

/** In seconds, as the file says; known before it is decoded. */
function durationOf(file) {
  const address = URL.createObjectURL(file);
  return new Promise((resolve, reject) => {
    const audio = new Audio();
    audio.onloadedmetadata = () => resolve(audio.duration);
    audio.onerror = reject;
    audio.src = address;
  }).finally(() => URL.revokeObjectURL(address));
}

/** The mean of the channels, in the place of the first: a copy of a long recording is large. */
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

/** The same sound at `RATE_HZ`. */
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
