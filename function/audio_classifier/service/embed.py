"""Answer a request for embeddings."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.inference.embeddings import Embeddings
from audio_classifier.s3.objects import S3File
from audio_classifier.service.cancellation import Cancellation
from audio_classifier.service.parameters import EmbedParameters
from audio_classifier.service.predict import Details, details_record, within_limits
from audio_classifier.service.shared_classifier import SharedClassifier


def embed(
    shared: SharedClassifier,
    source: AudioSource,
    parameters: EmbedParameters,
    cancellation: Cancellation | None = None,
) -> Generator[Embeddings | AudioWarning | Details, None, None]:
    """Embed a recording and yield its embeddings in blocks, then its warnings, and details on request.

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
    analyzed_s = 0.0
    with closing(within_limits(items, cancellation, max_s, "timelines and embeddings")) as limited:
        for item in limited:
            if isinstance(item, Embeddings):
                analyzed_s = item.end_s
            yield item
    if parameters.details:
        yield Details(details_record(shared, analyzed_s))
