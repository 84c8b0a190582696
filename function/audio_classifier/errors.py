"""Every error that this package raises on purpose.

::

    AudioClassifierError
    ├── AudioError                      the sound cannot be used
    │   ├── UnreadableAudioError        not a sound file that libsndfile knows, or cut off in its header
    │   ├── UnsupportedAudioError       a sound file, but of a sample rate that is not accepted
    │   ├── EmptyAudioError             no samples in it
    │   ├── DamagedAudioError           truncated or corrupt where it was to be read
    │   ├── InvalidSamplesError         NaN, infinite or absurdly large samples
    │   ├── StartBeyondEndError         the start lies outside of the clip
    │   ├── RecordingTooLongError       longer than a timeline may be
    │   └── ObjectTooLargeError         larger than a deployment accepts
    ├── RequestError                    an HTTP request that cannot be served
    │   ├── NoAudioError                its content is declared as something else
    │   ├── RequestTooLargeError        its body is longer than allowed
    │   ├── NoResultError               it asks for a result that there is none of
    │   ├── UnsupportedMediaError       its body is of a kind that is not understood
    │   └── BusyError                   too many others are being served
    ├── UnknownEventError               an event of a kind that is not understood
    ├── InvalidParameterError           an argument out of its range
    │   └── UnknownLabelError           no such class
    ├── BundleError                     the model cannot be used
    │   ├── BundleNotFoundError         nothing at that place
    │   ├── BundleInvalidError          a manifest or a model file that makes no sense
    │   └── BundleCorruptError          a file is not what the manifest says
    ├── TransferError                   a remote file could not be fetched; worth another try
    │   ├── RemoteNotFoundError         there is no such file, or none that may be read
    │   ├── RemoteTooLongError          it is longer than it may be
    │   └── ObjectChangedError          it was replaced while it was read
    ├── OutputError                     results cannot be stored
    │   └── PlaceTakenError             something else stands where a result belongs
    ├── ConversionError                 published artifacts cannot become a bundle
    │   ├── ArtifactNotFoundError       no source has the file
    │   ├── ArtifactUnverifiedError     a file's SHA-512 is not the published one
    │   └── ArtifactFormatError         a file holds something else than it should
    └── MissingExtraError               an optional dependency is not installed

Each carries ``status`` (the HTTP status that fits), ``code`` (a stable name for programs) and ``hint`` (the
way out, for people; may be empty).
"""

from __future__ import annotations

from typing import Any, ClassVar


class AudioClassifierError(Exception):
    """Base of all errors that this package raises on purpose.

    Parameters
    ----------
    message
        What went wrong, naming the cause.
    hint
        The way out; the class's own hint if left out.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = self.default_hint if hint is None else hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without calling the constructor, whose parameters differ from class to class."""
        return _restore, (type(self), self.args, self.__dict__)


class AudioError(AudioClassifierError):
    """The sound cannot be used."""

    status = 400
    code = "audio"


class UnreadableAudioError(AudioError):
    """Not a sound file that libsndfile knows, or cut off within its header."""

    code = "unreadable_audio"
    default_hint = "Send a WAV, FLAC, OGG or MP3 file."


class UnsupportedAudioError(AudioError):
    """A sound file, but of a sample rate that is not accepted."""

    code = "unsupported_audio"


class EmptyAudioError(AudioError):
    """There are no samples in the file."""

    code = "empty_audio"
    default_hint = "Check that the recording was written to its end before it was sent."


class DamagedAudioError(AudioError):
    """Truncated or corrupt at the place where it was to be read."""

    code = "damaged_audio"
    default_hint = "The file was probably cut off in transfer: send it again."


class InvalidSamplesError(AudioError):
    """NaN, infinite or absurdly large samples."""

    code = "invalid_samples"
    default_hint = "Write the recording anew, as 16-bit PCM or as floats between -1 and 1."


class StartBeyondEndError(AudioError):
    """The start lies outside of the clip."""

    code = "start_beyond_end"


class RecordingTooLongError(AudioError):
    """Longer than a timeline may be."""

    status = 413
    code = "recording_too_long"
    default_hint = "Cut it, or classify it with the command line, which has no such limit."


class ObjectTooLargeError(AudioError):
    """Larger than a deployment accepts."""

    status = 413
    code = "object_too_large"
    default_hint = "Cut the sound, or send it as FLAC, OGG or MP3."


class RequestError(AudioClassifierError):
    """An HTTP request that cannot be served."""

    status = 400
    code = "request"


class NoAudioError(RequestError):
    """Its content is declared as something that is no sound."""

    code = "no_audio"
    default_hint = "Send a sound file as audio/* or application/octet-stream."


class RequestTooLargeError(RequestError):
    """Its body is longer than allowed."""

    status = 413
    code = "request_too_large"


class NoResultError(RequestError):
    """It asks for a result that there is none of."""

    status = 404
    code = "no_result"
    default_hint = "Upload a sound first, to where POST /uploads says."


class UnsupportedMediaError(RequestError):
    """Its body is of a kind that is not understood."""

    status = 415
    code = "unsupported_media"
    default_hint = "Send multipart/form-data with a field `audio`, or the sound file itself as audio/*."


class BusyError(RequestError):
    """Too many other requests are being served."""

    status = 503
    code = "busy"
    default_hint = "Try again in a moment."


class UnknownEventError(AudioClassifierError):
    """An event of a kind that is not understood."""

    status = 422
    code = "unknown_event"


class InvalidParameterError(AudioClassifierError):
    """An argument is out of its range: ``parameter`` names it, ``reason`` says how."""

    status = 422
    code = "invalid_parameter"

    def __init__(self, parameter: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{parameter}: {message}", hint=hint)
        self.parameter = parameter
        self.reason = message


class UnknownLabelError(InvalidParameterError):
    """No class has that name or id."""

    code = "unknown_label"


class BundleError(AudioClassifierError):
    """The model cannot be used."""

    code = "bundle"


class BundleNotFoundError(BundleError):
    """There is no bundle at that place."""

    code = "bundle_not_found"


class BundleInvalidError(BundleError):
    """A manifest or a model file that makes no sense."""

    code = "bundle_invalid"


class BundleCorruptError(BundleError):
    """A file is not what the manifest says."""

    code = "bundle_corrupt"
    default_hint = "Fetch or build the bundle again; nothing of it was loaded."


class TransferError(AudioClassifierError):
    """A remote file could not be fetched; another try may succeed."""

    status = 503
    code = "transfer"
    default_hint = "Check the network and the address, then try again."


class RemoteNotFoundError(TransferError):
    """There is no such file, or none that may be read."""

    status = 500
    code = "remote_not_found"
    default_hint = "Check the address, and that reading it is allowed."


class RemoteTooLongError(TransferError):
    """It is longer than it may be."""

    status = 500
    code = "remote_too_long"
    default_hint = "It is another file than was expected, or is being replaced just now."


class ObjectChangedError(TransferError):
    """It was replaced while it was read."""

    code = "object_changed"


class OutputError(AudioClassifierError):
    """Results cannot be stored."""

    code = "output"
    default_hint = "Make room, or name another --output; what is stored is not done again."


class PlaceTakenError(OutputError):
    """Something else stands where a result belongs."""

    code = "place_taken"
    default_hint = "Name another --output for it."


class ConversionError(AudioClassifierError):
    """Published artifacts cannot become a bundle."""

    code = "conversion"


class ArtifactNotFoundError(ConversionError):
    """No source has the file."""

    code = "artifact_not_found"


class ArtifactUnverifiedError(ConversionError):
    """A file's SHA-512 is not the published one."""

    code = "artifact_unverified"
    default_hint = "Pass --allow-unverified if these are weights of your own; the manifest will say so."


class ArtifactFormatError(ConversionError):
    """A file holds something else than it should."""

    code = "artifact_format"


class MissingExtraError(AudioClassifierError):
    """An optional dependency is not installed."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed",
            hint=f"Run: pip install 'serverless-audio-classifier[{extra}]'",
        )
        self.extra = extra


def _restore(
    cls: type[AudioClassifierError], args: tuple[Any, ...], state: dict[str, Any]
) -> AudioClassifierError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error
