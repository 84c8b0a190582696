"""What a deployment may set, read from the environment in this one place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias

from audio_classifier.cpus import available_cpus
from audio_classifier.errors import InvalidParameterError
from audio_classifier.hub.bundles import COMPACT

WarmUp: TypeAlias = Literal["http", "uploads"]

PREFIX: Final = "AUDIO_CLASSIFIER_"
DEFAULT_MAX_UPLOAD_BYTES: Final = 64 << 20
DEFAULT_MAX_QUEUE: Final = 16
DEFAULT_MAX_TIMELINE_S: Final = 3600
DEFAULT_MAX_OBJECT_BYTES: Final = 5 << 30
DEFAULT_UPLOADS_PREFIX: Final = "uploads/"
DEFAULT_RESULTS_PREFIX: Final = "results/"
MAX_THREADS: Final = 256  # LiteRT crashes when the system has no more to give
LAMBDA_MB_PER_CPU: Final = 1769  # AWS Lambda developer guide, "Configure function memory"


@dataclass(frozen=True, slots=True)
class Settings:
    """Attributes are set by the variables ``AUDIO_CLASSIFIER_`` + their name in capitals.

    Attributes
    ----------
    bundle
        The model: ``compact``, a directory, ``https://...`` or ``s3://bucket/prefix/``.
    cache_dir
        Where remote bundles are kept; None for the user's cache directory.  Inside Lambda it is below
        ``/tmp``.
    threads
        CPUs for one prediction.  Inside Lambda one for every 1,769 MB of memory, elsewhere what the
        container may use.
    max_upload_bytes
        The longest request body that is read, 64 MiB.
    max_concurrency
        How many sounds are worked on at the same time; as many as there are threads.
    max_queue
        How many more requests may wait for their turn, 16.
    max_timeline_s
        The longest recording that a timeline is made of, over HTTP or for a result, in seconds, 3,600.
    timeline_over_s
        Results of objects longer than so many seconds have a timeline, too; None for none.
    max_object_bytes
        The largest object that is classified, 5 GiB.
    uploads_bucket
        Where clients may upload sounds to; None for nowhere.
    uploads_prefix
        What the keys of such uploads begin with, ``uploads/``.
    results_bucket
        Where results of objects are stored; None for the object's own bucket.
    results_prefix
        What their keys begin with, ``results/``; ``{bucket}`` in it stands for the object's bucket.
    results_kms_key
        The KMS key that encrypts them; None for S3's own.
    read_buckets
        Buckets whose objects clients may name by ``s3://...`` and CloudEvents may report, with commas
        between them.  Clients may always name those of the uploads bucket.
    cors_origins
        Web pages that may call it from a browser: origins with commas between them, ``*`` for any, empty for
        none.
    warm_up
        What a Lambda function makes ready beside the model when it starts: ``http`` or ``uploads``; None for
        what the first event turns out to need.
    """

    bundle: str
    cache_dir: Path | None
    threads: int
    max_upload_bytes: int
    max_concurrency: int
    max_queue: int
    max_timeline_s: int
    timeline_over_s: int | None
    max_object_bytes: int
    uploads_bucket: str | None
    uploads_prefix: str
    results_bucket: str | None
    results_prefix: str
    results_kms_key: str | None
    read_buckets: tuple[str, ...]
    cors_origins: tuple[str, ...]
    warm_up: WarmUp | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; an empty variable counts as unset.

        Raises
        ------
        InvalidParameterError
            If a variable makes no sense; it is named.
        """
        in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in environ
        cache_dir = environ.get(PREFIX + "CACHE_DIR") or ("/tmp/audio-classifier" if in_lambda else "")  # noqa: S108
        threads = _threads(environ)
        return cls(
            bundle=environ.get(PREFIX + "BUNDLE") or COMPACT,
            cache_dir=Path(cache_dir) if cache_dir else None,
            threads=threads,
            max_upload_bytes=_positive(environ, PREFIX + "MAX_UPLOAD_BYTES") or DEFAULT_MAX_UPLOAD_BYTES,
            max_concurrency=_positive(environ, PREFIX + "MAX_CONCURRENCY") or threads,
            max_queue=_positive(environ, PREFIX + "MAX_QUEUE") or DEFAULT_MAX_QUEUE,
            max_timeline_s=_positive(environ, PREFIX + "MAX_TIMELINE_S") or DEFAULT_MAX_TIMELINE_S,
            timeline_over_s=_positive(environ, PREFIX + "TIMELINE_OVER_S"),
            max_object_bytes=_positive(environ, PREFIX + "MAX_OBJECT_BYTES") or DEFAULT_MAX_OBJECT_BYTES,
            uploads_bucket=environ.get(PREFIX + "UPLOADS_BUCKET") or None,
            uploads_prefix=environ.get(PREFIX + "UPLOADS_PREFIX") or DEFAULT_UPLOADS_PREFIX,
            results_bucket=environ.get(PREFIX + "RESULTS_BUCKET") or None,
            results_prefix=environ.get(PREFIX + "RESULTS_PREFIX") or DEFAULT_RESULTS_PREFIX,
            results_kms_key=environ.get(PREFIX + "RESULTS_KMS_KEY") or None,
            read_buckets=_listed(environ, PREFIX + "READ_BUCKETS"),
            cors_origins=_origins(environ, PREFIX + "CORS_ORIGINS"),
            warm_up=_warm_up(environ, PREFIX + "WARM_UP"),
        )


def _threads(environ: Mapping[str, str]) -> int:
    threads = _positive(environ, PREFIX + "THREADS")
    if threads is not None:
        if threads > MAX_THREADS:
            raise InvalidParameterError(PREFIX + "THREADS", f"{threads} is more than {MAX_THREADS}")
        return threads
    memory_mb = _positive(environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    return available_cpus() if memory_mb is None else max(1, round(memory_mb / LAMBDA_MB_PER_CPU))


def _listed(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(environ.get(name, "").replace(",", " ").split())


def _origins(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Origins as browsers send them: one that ends in a slash would never be any page's."""
    origins = _listed(environ, name)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/]+", origin):
            raise InvalidParameterError(name, f"{origin!r} is neither https://host[:port] nor *")
    return origins


def _warm_up(environ: Mapping[str, str], name: str) -> WarmUp | None:
    match environ.get(name) or None:
        case "http" | "uploads" | None as known:
            return known
        case unknown:
            raise InvalidParameterError(name, f"{unknown!r} is neither http nor uploads")


def _positive(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InvalidParameterError(name, f"{text!r} is not a whole number from 1 up")
    return int(text)
