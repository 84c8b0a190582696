"""Answer a request for embeddings."""

from __future__ import annotations

from collections.abc import Generator

from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.inference.embeddings import Embeddings
from audio_classifier.s3.objects import S3File
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.parameters import EmbedParameters
from audio_classifier.service.predict import within_limits
from audio_classifier.service.shared_classifier import SharedClassifier


def embed(
    shared: SharedClassifier,
    source: AudioSource,
    parameters: EmbedParameters,
    cancellation: Cancellation | None = None,
) -> Generator[Embeddings | AudioWarning, None, None]:
    """Embed a recording and yield its embeddings in blocks, then its warnings.

    Raises
    ------
    RecordingTooLongError
        When the stream reaches the limit of a timeline, which bounds the size of the answer.
    DeadlineExceededError, RequestCancelledError
        When ``cancellation`` stops the work.
    AudioError, InvalidParameterError, NoEmbeddingError, BundleError, TransferError
        See `AudioClassifier.embed` and `SharedClassifier.load`.
    """
    if isinstance(source, S3File):
        source.allow_whole_object()
    max_s = shared.settings.max_timeline_s
    cancellation = cancellation or Cancellation()
    cancellation.check()
    items = shared.embed_blocks(cancellation.checked(source), channel=parameters.channel)
    yield from within_limits(items, cancellation, max_s, "timelines and embeddings")
