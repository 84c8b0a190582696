// Warnings about a recording in words for people who did not make the file.

const TEXTS = {
  truncated: "The file is incomplete. The result covers only the part that exists.",
  partly_read: "Parts of the file could not be read and are not in the result.",
  repaired: "The file has an unusual structure. All of its audio was read.",
  rescaled: "The samples of the file have the wrong scale, which makes them far too loud. They were turned down.",
  invalid_samples: "Parts of the recording are damaged. They were replaced with silence.",
  channels_cancel: "The channels cancel each other out. Only the loudest one was used.",
  very_quiet: "The recording is almost silent. The classes are uncertain.",
  clipped: "The recording is distorted, because it was recorded too loudly. The classes are uncertain.",
};

/** Return a sentence for a warning of the API; the API's own for a code that the page does not know. */
export function describeWarning({ code, message }) {
  return TEXTS[code] ?? `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}
