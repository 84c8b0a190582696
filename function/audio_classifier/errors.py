"""The exceptions of this package.

::

    AudioClassifierError
    ├── AudioError                      the recording cannot be used
    │   ├── UnreadableAudioError        damaged or truncated in its header
    │   │   └── UnsupportedFormatError  not in an accepted format, or with a codec that cannot be decoded
    │   ├── UnsupportedAudioError       the sample rate or number of channels is outside the accepted range
    │   ├── EmptyAudioError             the file contains no samples
    │   ├── DamagedAudioError           truncated or corrupt where it was read
    │   ├── InvalidSamplesError         NaN, infinite or out-of-range samples
    │   ├── StartBeyondEndError         the start lies outside the recording
    │   ├── DecoderCrashError           the decoder ended while it read the file
    │   ├── DecodingLimitError          decoding takes more CPU time than is allowed
    │   ├── RecordingTooLongError       longer than the limit of a timeline
    │   ├── TooManyReadsError           scattered over its file, so that reading it takes too many requests
    │   └── ObjectTooLargeError         larger than the deployment accepts
    ├── RequestError                    an HTTP request that cannot be served
    │   ├── NoAudioError                the part is declared as something other than audio
    │   ├── RequestTooLargeError        the body is longer than allowed
    │   ├── ResponseTooLargeError       the response is longer than Lambda can return
    │   ├── UnauthorizedError           the request has no valid API key
    │   ├── NoResultError               there is no such result
    │   ├── UnsupportedMediaError       the body has an unsupported media type
    │   ├── RequestTimeoutError         the body arrives too slowly
    │   ├── RequestCancelledError       the client disconnected before the request was served
    │   └── BusyError                   too many requests are being served
    ├── DeadlineExceededError           the work takes longer than its deadline
    ├── ProcessingFailedError           an object was not processed in the configured number of attempts
    ├── StorageFullError                the disk has no space for a temporary file
    ├── UnknownEventError               an event of an unsupported kind
    ├── NoEmbeddingError                the model computes no embeddings
    ├── NoInputError                    a folder or prefix contains no audio files
    ├── InvalidParameterError           an argument is out of range
    │   └── UnknownLabelError           no class has that name or id
    ├── BundleError                     the model cannot be used
    │   ├── BundleCacheError            a downloaded bundle cannot be stored
    │   ├── BundleNotFoundError         there is no bundle at that URI
    │   ├── BundleInvalidError          the manifest or a model file is malformed
    │   └── BundleCorruptError          a file differs from its manifest entry
    ├── TransferError                   a remote file could not be read; a retry may succeed
    │   ├── RemoteNotFoundError         the file does not exist or may not be read
    │   ├── AccessDeniedError           the deployment lacks a permission of S3 or EventBridge
    │   ├── RemoteTooLongError          the file is longer than expected
    │   └── ObjectChangedError          the object was replaced while it was read
    ├── OutputError                     results cannot be stored
    │   └── ResultConflictError         something else is stored under the result's key
    ├── ConversionError                 published artifacts cannot be converted to a bundle
    │   ├── ArtifactNotFoundError       no source has the file
    │   ├── ArtifactUnverifiedError     the file's SHA-512 is not the published one
    │   └── ArtifactFormatError         the file has an unexpected content
    └── MissingExtraError               an optional dependency is not installed

Each carries a message, a ``code`` (a stable identifier for programs) and a ``hint`` (how to fix it; may be
empty).  The HTTP server maps classes to statuses, and each entry point adds its own names and hints.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from audio_classifier.escaping import printable


class AudioClassifierError(Exception):
    """Base class of the exceptions of this package.

    Parameters
    ----------
    message
        What was expected and what was found.  Unprintable characters, which names of files and objects may
        contain, are escaped.
    hint
        How to fix it, for every entry point; the default of the class if omitted.
    """

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(printable(message))
        self.hint = self.default_hint if hint is None else hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without calling the constructor, because its parameters differ between classes."""
        return _restore, (type(self), self.args, self.__dict__)


def error_body(code: str, message: str, hint: str = "") -> dict[str, str]:
    """Build the body of an error: the same for HTTP, NDJSON, Lambda, the command line and stored results.

    Unprintable characters are escaped.
    """
    return {"status": "error", "code": code, "message": printable(message), "hint": printable(hint)}


def describe_error(
    error: AudioClassifierError | OSError,
    *,
    names: Mapping[str, str] = MappingProxyType({}),
    hints: Mapping[type[AudioClassifierError], str] = MappingProxyType({}),
) -> dict[str, str]:
    """Build the body of an exception.

    Parameters
    ----------
    names
        The entry point's names of parameters, by the library's.
    hints
        The entry point's hints for exceptions that have none; that of the nearest base class applies.
    """
    if isinstance(error, OSError):
        return error_body("os_error", error.strerror or str(error))
    message = str(error)
    if isinstance(error, InvalidParameterError):
        message = f"{names.get(error.parameter, error.parameter)}: {error.reason}"
    hint = error.hint or next((hints[cls] for cls in type(error).__mro__ if cls in hints), "")
    return error_body(error.code, message, hint)


class AudioError(AudioClassifierError):
    """The recording cannot be used."""

    code = "audio"


class UnreadableAudioError(AudioError):
    """The file's header is damaged or truncated, or the file is not in an accepted format."""

    code = "unreadable_audio"
    default_hint = "Use a WAV, FLAC, OGG or MP3 file."


class UnsupportedFormatError(UnreadableAudioError):
    """The file is not in an accepted format, or contains a codec that cannot be decoded."""

    code = "unsupported_format"
    default_hint = (
        "Convert the recording to WAV or FLAC. "
        "Accepted formats are WAV, RF64, W64, AIFF, AU, CAF, FLAC, OGG (Vorbis, Opus, FLAC), MP3 "
        "and WebM (Opus, Vorbis)."
    )


class UnsupportedAudioError(AudioError):
    """The sample rate, or the number of channels of a compressed file, is outside the accepted range."""

    code = "unsupported_audio"


class EmptyAudioError(AudioError):
    """The file contains no samples."""

    code = "empty_audio"
    default_hint = "Check that the recording was finished before it was sent."


class DamagedAudioError(AudioError):
    """The file is truncated or corrupt where it was read."""

    code = "damaged_audio"
    default_hint = "The file was probably damaged in transfer: transfer it again."


class InvalidSamplesError(AudioError):
    """The file contains NaN, infinite or out-of-range samples."""

    code = "invalid_samples"
    default_hint = "Export the recording again as 16-bit PCM, or as floats between -1 and 1."


class StartBeyondEndError(AudioError):
    """The start lies outside the recording."""

    code = "start_beyond_end"


class DecoderCrashError(AudioError):
    """The decoder process ended, or exceeded a limit, while it read the file."""

    code = "decoder_crash"
    default_hint = "The file is probably damaged or malicious: export the recording again, as WAV or FLAC."


class DecodingLimitError(AudioError):
    """Decoding the file takes more CPU time than is allowed for its length."""

    code = "decoding_limit"
    default_hint = "Export the recording again, as WAV or FLAC with a sample rate of at most 48 kHz."


class RecordingTooLongError(AudioError):
    """The recording is longer than the limit of a timeline."""

    code = "recording_too_long"
    default_hint = "Split the recording."


class TooManyReadsError(AudioError):
    """The audio is scattered over its file, so that reading it takes too many requests."""

    code = "too_many_reads"
    default_hint = "Export the recording again as WAV or FLAC; read MP3 files from an earlier start."


class ObjectTooLargeError(AudioError):
    """The object is larger than the deployment accepts."""

    code = "object_too_large"
    default_hint = "Shorten the recording, or encode it as FLAC, OGG or MP3."


class RequestError(AudioClassifierError):
    """The HTTP request cannot be served."""

    code = "request"


class NoAudioError(RequestError):
    """The part of a form is declared as something other than audio."""

    code = "no_audio"


class RequestTooLargeError(RequestError):
    """The request's body is longer than allowed."""

    code = "request_too_large"


class ResponseTooLargeError(RequestError):
    """The response is longer than Lambda, or what invokes it, can return."""

    code = "response_too_large"


class UnauthorizedError(RequestError):
    """The request has no valid API key."""

    code = "unauthorized"


class NoResultError(RequestError):
    """There is no such result."""

    code = "no_result"


class UnsupportedMediaError(RequestError):
    """The request's body has an unsupported media type."""

    code = "unsupported_media"


class RequestTimeoutError(RequestError):
    """The request's body arrives too slowly."""

    code = "request_timeout"
    default_hint = "Use a faster connection, or encode the recording as FLAC, OGG or MP3."


class RequestCancelledError(RequestError):
    """The client disconnected before the request was served."""

    code = "request_cancelled"


class BusyError(RequestError):
    """Too many other requests are being served."""

    code = "busy"


class DeadlineExceededError(AudioClassifierError):
    """The work takes longer than its deadline."""

    code = "deadline_exceeded"
    default_hint = "Send a shorter recording, or try again later."


class ProcessingFailedError(AudioClassifierError):
    """An object was not processed in the configured number of attempts."""

    code = "processing_failed"
    default_hint = (
        "Send a shorter recording, or one in another format; the log of the function has the reason."
    )


class StorageFullError(AudioClassifierError):
    """The disk has no space for a temporary file."""

    code = "storage_full"
    default_hint = "Try again later; the operator can free or add space."


class UnknownEventError(AudioClassifierError):
    """The event is of an unsupported kind."""

    code = "unknown_event"


class NoEmbeddingError(AudioClassifierError):
    """The model computes no embeddings."""

    code = "no_embedding"
    default_hint = "Use the bundle compact or max, or one that was trained on their embeddings."


class NoInputError(AudioClassifierError):
    """A folder or prefix contains no audio files."""

    code = "no_input"


class InvalidParameterError(AudioClassifierError):
    """An argument is out of range: ``parameter`` is its name, ``reason`` the rest of the message."""

    code = "invalid_parameter"

    def __init__(self, parameter: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{parameter}: {reason}", hint=hint)
        self.parameter = parameter
        self.reason = reason


class UnknownLabelError(InvalidParameterError):
    """No class has that name or id."""

    code = "unknown_label"


class BundleError(AudioClassifierError):
    """The model cannot be used."""

    code = "bundle"


class BundleCacheError(BundleError):
    """A downloaded bundle cannot be stored in the cache."""

    code = "bundle_cache"
    default_hint = (
        "Free some space, or set AUDIO_CLASSIFIER_CACHE_DIR to a directory that this process may write to."
    )


class BundleNotFoundError(BundleError):
    """There is no bundle at that URI."""

    code = "bundle_not_found"


class BundleInvalidError(BundleError):
    """The manifest or a model file is malformed."""

    code = "bundle_invalid"


class BundleCorruptError(BundleError):
    """A file differs from its entry in the manifest."""

    code = "bundle_corrupt"
    default_hint = "Download or build the bundle again; none of it was loaded."


class TransferError(AudioClassifierError):
    """A remote file could not be read; a retry may succeed."""

    code = "transfer"
    default_hint = "Check the network and the address, then try again."


class RemoteNotFoundError(TransferError):
    """The remote file does not exist, or may not be read."""

    code = "remote_not_found"
    default_hint = "Check the address, and the permission to read it."


class AccessDeniedError(TransferError):
    """The request is not permitted; a retry succeeds only after the permission was granted."""

    code = "access_denied"
    default_hint = "Grant the permission to the role of this deployment; with KMS, also the use of the key."


class RemoteTooLongError(TransferError):
    """The remote file is longer than expected."""

    code = "remote_too_long"
    default_hint = "Check that it is the expected file; if it is being replaced, try again later."


class ObjectChangedError(TransferError):
    """The object was replaced while it was read."""

    code = "object_changed"
    default_hint = "Try again when the object is no longer being replaced."


class OutputError(AudioClassifierError):
    """Results cannot be stored."""

    code = "output"


class ResultConflictError(OutputError):
    """Something else is stored under the key of a result."""

    code = "result_conflict"


class ConversionError(AudioClassifierError):
    """Published artifacts cannot be converted to a bundle."""

    code = "conversion"


class ArtifactNotFoundError(ConversionError):
    """No source has the file."""

    code = "artifact_not_found"


class ArtifactUnverifiedError(ConversionError):
    """The file's SHA-512 is not the published one."""

    code = "artifact_unverified"


class ArtifactFormatError(ConversionError):
    """The file has an unexpected content."""

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


def __getattr__(name: str) -> Any:
    """Resolve the former name of an exception, until version 0.3."""
    if name == "PlaceTakenError":
        warnings.warn(f"{name} is now ResultConflictError", DeprecationWarning, stacklevel=2)
        return ResultConflictError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
