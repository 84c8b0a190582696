"""Embed any number of inputs: the next ones are read while the network runs."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.batch.inputs import FoundInput, UnusableInput
from audio_classifier.batch.run import Failed
from audio_classifier.errors import AudioClassifierError
from audio_classifier.inference.classifier import AudioClassifier
from audio_classifier.inference.embeddings import Embeddings, joined
from audio_classifier.inference.prefetch import prefetched_batches
from audio_classifier.s3.objects import S3File


@dataclass(frozen=True, slots=True)
class Embedded:
    """The input was embedded."""

    name: str
    embeddings: Embeddings
    warnings: list[AudioWarning]


EmbedOutcome: TypeAlias = Embedded | Failed


def embed_inputs(
    classifier: AudioClassifier, inputs: Iterable[FoundInput], *, channel: Channel = None, threads: int
) -> Generator[EmbedOutcome, None, None]:
    """Embed whole recordings in ``threads`` threads, and yield their outcomes in the order of the inputs.

    At most three recordings for each thread are held as codes, which take 128 bytes for each 0.96 s.

    Raises
    ------
    NoEmbeddingError
        At the first iteration, if the model computes no embeddings.
    InvalidParameterError, TransferError
        See `find_inputs`.
    """
    classifier.require_embeddings()

    def embed(found: FoundInput) -> EmbedOutcome:
        if isinstance(found, UnusableInput):
            return Failed(found.name, found.error)
        try:
            with found.open() as source:
                return _embedded(found.name, classifier, source, channel)
        except (AudioClassifierError, OSError) as error:
            return Failed(found.name, error)

    with closing(prefetched_batches(embed, inputs, threads=threads, max_batch=threads)) as batches:
        for batch in batches:
            yield from batch


def _embedded(name: str, classifier: AudioClassifier, source: AudioSource, channel: Channel) -> Embedded:
    if isinstance(source, S3File):
        source.allow_whole_object()
    parts: list[Embeddings] = []
    warnings: list[AudioWarning] = []
    with closing(classifier.embed_blocks(source, channel=channel)) as stream:
        for item in stream:
            if isinstance(item, AudioWarning):
                warnings.append(item)
            else:
                parts.append(item)
    return Embedded(name, joined(parts), warnings)
