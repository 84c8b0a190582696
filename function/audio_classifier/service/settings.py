"""The deployment's settings (``AUDIO_CLASSIFIER_*``), read from the environment in this one place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias, get_args

from audio_classifier.constants import EVENT_THRESHOLD
from audio_classifier.cpus import available_cpus
from audio_classifier.errors import InvalidParameterError
from audio_classifier.hub.bundles import COMPACT

WarmUp: TypeAlias = Literal["http", "uploads"]
RouteGroup: TypeAlias = Literal["demo", "docs", "metrics", "events"]

PREFIX: Final = "AUDIO_CLASSIFIER_"
DEFAULT_MAX_UPLOAD_BYTES: Final = 64 << 20
DEFAULT_MAX_QUEUE: Final = 16
DEFAULT_MAX_UPLOADS_IN_FLIGHT: Final = 256
SPOOLED_UPLOADS: Final = 8  # of the maximum size, in the default of ``max_spooled_bytes``
DEFAULT_PREDICT_DEADLINE_S: Final = 25
DEFAULT_TIMELINE_DEADLINE_S: Final = 900
DEFAULT_MAX_TIMELINE_S: Final = 3600
DEFAULT_DOWNLOAD_DEADLINE_S: Final = 300
DEFAULT_MAX_OBJECT_BYTES: Final = 5 << 30
DEFAULT_MAX_RECEIVES: Final = 4
DEFAULT_UPLOADS_PREFIX: Final = "uploads/"
DEFAULT_RESULTS_PREFIX: Final = "results/"
MAX_THREADS: Final = 256  # LiteRT crashes when the system refuses a thread
LAMBDA_MB_PER_CPU: Final = 1769  # AWS Lambda developer guide, "Configure function memory"
MIN_API_KEY_CHARACTERS: Final = 16
EVENT_BUS: Final = re.compile(r"(arn:[\w-]+:events:[\w-]+:\d{12}:event-bus/)?[/.\-_A-Za-z0-9]{1,256}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a deployment; the variable of each is ``AUDIO_CLASSIFIER_`` and its name in capitals.

    Attributes
    ----------
    bundle
        The model: ``compact``, a directory, ``https://...`` or ``s3://bucket/prefix/``; the last two may end
        with ``#sha256=`` and the bundle's digest.
    cache_dir
        Where remote bundles are cached; None for the user's cache directory.  In Lambda the default is below
        ``/tmp``.
    thresholds
        A file of thresholds of single classes, which ``audio-classifier evaluate`` writes; None for none.
    download_deadline_s
        Within how many seconds a remote bundle must be downloaded, including the wait for another process
        that downloads it; 300 by default.  In Lambda, the time limit of the function is usually shorter.
    threads
        CPUs for one prediction.  The default is one for every 1,769 MB of memory in Lambda, and all that the
        container may use elsewhere.
    max_upload_bytes
        The maximum size of a request body; 64 MiB by default.
    max_concurrency
        How many recordings are processed at the same time; ``threads`` by default.
    max_queue
        How many more requests may wait; 16 by default.
    max_uploads_in_flight
        How many prediction requests the HTTP server receives, processes and answers at the same time; 256 by
        default.
    max_spooled_bytes
        The maximum size of all their bodies together, in memory and in temporary files; eight times
        ``max_upload_bytes`` by default.
    predict_deadline_s
        Seconds from the beginning of an HTTP request for a prediction to its answer; 25 by default.
    timeline_deadline_s
        The same for a timeline; 900 by default.
    max_timeline_s
        The maximum length of a recording for a timeline, over HTTP or in a result; 3,600 by default.
    timeline_over_s
        Results of recordings longer than this also have a timeline; None for never.
    max_object_bytes
        The maximum size of an object; 5 GiB by default.
    max_receives
        How often a queue delivers an object before its result reports failed attempts; 4 by default.  The
        queue's ``maxReceiveCount`` must be greater.
    uploads_bucket
        The bucket that clients may upload to; None for no uploads.
    uploads_prefix
        The prefix of the keys of uploads; ``uploads/`` by default.
    results_bucket
        The bucket of the results of objects; None for the object's own bucket.
    results_prefix
        The prefix of their keys, ``results/`` by default; ``{bucket}`` in it is replaced by the object's
        bucket.
    results_kms_key
        The KMS key that encrypts them; None for S3's own key.
    event_bus
        The name or ARN of the EventBridge bus that receives an event for each stored result; None for none.
    sound_event_threshold
        The peak probability from which on such an event lists a sound event of the result's timeline; 0.3 by
        default, which lists all of them.
    read_buckets
        Buckets, separated by commas, whose objects clients may name by ``s3://...`` and CloudEvents may
        report.  Clients may always name objects of the uploads bucket.
    cors_origins
        Origins, separated by commas, of web pages that may call the API from a browser; ``*`` for any, empty
        for none.
    isolate_decoding
        Whether recordings are decoded in processes of their own, so that a file that crashes the decoder is
        an error of one request.  The default is true, but false in Lambda and where ``fork`` is missing.
    warm_up
        What a Lambda function prepares while it loads the model: ``http`` or ``uploads``; None to prepare
        what the first event needs.
    api_keys
        Keys, separated by commas, one of which every request must have, apart from pages and health checks;
        empty for a public API.  Those of ``api_keys_file`` are included.
    api_keys_file
        A file of keys, separated by commas or white space; None for no file.
    disabled_routes
        Routes, separated by commas, that do not exist: ``demo``, ``docs`` (Swagger UI and the OpenAPI
        documents), ``metrics`` or ``events``; empty for none.
    """

    bundle: str
    cache_dir: Path | None
    thresholds: Path | None
    download_deadline_s: int
    threads: int
    max_upload_bytes: int
    max_concurrency: int
    max_queue: int
    max_uploads_in_flight: int
    max_spooled_bytes: int
    predict_deadline_s: int
    timeline_deadline_s: int
    max_timeline_s: int
    timeline_over_s: int | None
    max_object_bytes: int
    max_receives: int
    uploads_bucket: str | None
    uploads_prefix: str
    results_bucket: str | None
    results_prefix: str
    results_kms_key: str | None
    event_bus: str | None
    sound_event_threshold: float
    read_buckets: tuple[str, ...]
    cors_origins: tuple[str, ...]
    isolate_decoding: bool
    warm_up: WarmUp | None
    api_keys: tuple[str, ...] = field(repr=False)  # secrets
    api_keys_file: Path | None
    disabled_routes: tuple[RouteGroup, ...]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from environment variables; an empty one counts as unset.

        Raises
        ------
        InvalidParameterError
            If a variable has an invalid value; the error names it.
        """
        in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in environ
        cache_dir = environ.get(PREFIX + "CACHE_DIR") or ("/tmp/audio-classifier" if in_lambda else "")  # noqa: S108
        threads = _threads(environ)
        api_keys_file = environ.get(PREFIX + "API_KEYS_FILE")
        thresholds = environ.get(PREFIX + "THRESHOLDS")
        max_upload_bytes = _positive(environ, PREFIX + "MAX_UPLOAD_BYTES") or DEFAULT_MAX_UPLOAD_BYTES
        return cls(
            bundle=environ.get(PREFIX + "BUNDLE") or COMPACT,
            cache_dir=Path(cache_dir) if cache_dir else None,
            thresholds=Path(thresholds) if thresholds else None,
            download_deadline_s=_positive(environ, PREFIX + "DOWNLOAD_DEADLINE_S")
            or DEFAULT_DOWNLOAD_DEADLINE_S,
            threads=threads,
            max_upload_bytes=max_upload_bytes,
            max_concurrency=_positive(environ, PREFIX + "MAX_CONCURRENCY") or threads,
            max_queue=_positive(environ, PREFIX + "MAX_QUEUE") or DEFAULT_MAX_QUEUE,
            max_uploads_in_flight=_positive(environ, PREFIX + "MAX_UPLOADS_IN_FLIGHT")
            or DEFAULT_MAX_UPLOADS_IN_FLIGHT,
            max_spooled_bytes=_positive(environ, PREFIX + "MAX_SPOOLED_BYTES")
            or SPOOLED_UPLOADS * max_upload_bytes,
            predict_deadline_s=_positive(environ, PREFIX + "PREDICT_DEADLINE_S")
            or DEFAULT_PREDICT_DEADLINE_S,
            timeline_deadline_s=_positive(environ, PREFIX + "TIMELINE_DEADLINE_S")
            or DEFAULT_TIMELINE_DEADLINE_S,
            max_timeline_s=_positive(environ, PREFIX + "MAX_TIMELINE_S") or DEFAULT_MAX_TIMELINE_S,
            timeline_over_s=_positive(environ, PREFIX + "TIMELINE_OVER_S"),
            max_object_bytes=_positive(environ, PREFIX + "MAX_OBJECT_BYTES") or DEFAULT_MAX_OBJECT_BYTES,
            max_receives=_positive(environ, PREFIX + "MAX_RECEIVES") or DEFAULT_MAX_RECEIVES,
            uploads_bucket=environ.get(PREFIX + "UPLOADS_BUCKET") or None,
            uploads_prefix=environ.get(PREFIX + "UPLOADS_PREFIX") or DEFAULT_UPLOADS_PREFIX,
            results_bucket=environ.get(PREFIX + "RESULTS_BUCKET") or None,
            results_prefix=environ.get(PREFIX + "RESULTS_PREFIX") or DEFAULT_RESULTS_PREFIX,
            results_kms_key=environ.get(PREFIX + "RESULTS_KMS_KEY") or None,
            event_bus=_event_bus(environ, PREFIX + "EVENT_BUS"),
            sound_event_threshold=_probability(
                environ, PREFIX + "SOUND_EVENT_THRESHOLD", default=EVENT_THRESHOLD
            ),
            read_buckets=_split(environ, PREFIX + "READ_BUCKETS"),
            cors_origins=_origins(environ, PREFIX + "CORS_ORIGINS"),
            isolate_decoding=_boolean(
                environ, PREFIX + "ISOLATE_DECODING", default=hasattr(os, "fork") and not in_lambda
            ),
            warm_up=_warm_up(environ, PREFIX + "WARM_UP"),
            api_keys=_api_keys(environ, PREFIX + "API_KEYS")
            + _api_keys_in_file(environ, PREFIX + "API_KEYS_FILE"),
            api_keys_file=Path(api_keys_file) if api_keys_file else None,
            disabled_routes=_route_groups(environ, PREFIX + "DISABLED_ROUTES"),
        )


def _threads(environ: Mapping[str, str]) -> int:
    threads = _positive(environ, PREFIX + "THREADS")
    if threads is not None:
        if threads > MAX_THREADS:
            raise InvalidParameterError(PREFIX + "THREADS", f"must be at most {MAX_THREADS}, got {threads}")
        return threads
    memory_mb = _positive(environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    return available_cpus() if memory_mb is None else max(1, round(memory_mb / LAMBDA_MB_PER_CPU))


def _split(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(environ.get(name, "").replace(",", " ").split())


def _origins(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Read origins as browsers send them: none of them ends with a slash."""
    origins = _split(environ, name)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/]+", origin):
            raise InvalidParameterError(name, f"must be https://host[:port] or *, got {origin!r}")
    return origins


def _warm_up(environ: Mapping[str, str], name: str) -> WarmUp | None:
    match environ.get(name) or None:
        case "http" | "uploads" | None as known:
            return known
        case unknown:
            raise InvalidParameterError(name, f"must be http or uploads, got {unknown!r}")


def _boolean(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    match environ.get(name, "").lower():
        case "":
            return default
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
        case unknown:
            raise InvalidParameterError(name, f"must be true or false, got {unknown!r}")


def _api_keys(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Read API keys; errors do not show them."""
    text = environ.get(name)
    return _parsed_api_keys(name, text) if text else ()


def _api_keys_in_file(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    path = environ.get(name)
    if not path:
        return ()
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise InvalidParameterError(name, f"{path!r} cannot be read: {error.strerror}") from error
    return _parsed_api_keys(name, text)


def _parsed_api_keys(name: str, text: str) -> tuple[str, ...]:
    keys = tuple(text.replace(",", " ").split())
    if not keys:  # the API would be public, although the operator wants a key
        raise InvalidParameterError(name, "must have at least one key, got only separators")
    for number, key in enumerate(keys, 1):
        if len(key) < MIN_API_KEY_CHARACTERS or not re.fullmatch(r"[!-~]+", key):
            raise InvalidParameterError(
                name,
                f"a key must have at least {MIN_API_KEY_CHARACTERS} printable ASCII characters, "
                f"got {len(key)} characters for key {number}",
                hint="Generate a key: openssl rand -hex 32",
            )
    return keys


def _route_groups(environ: Mapping[str, str], name: str) -> tuple[RouteGroup, ...]:
    groups: list[RouteGroup] = []
    for group in _split(environ, name):
        match group:
            case "demo" | "docs" | "metrics" | "events":
                groups.append(group)
            case unknown:
                known = ", ".join(get_args(RouteGroup))
                raise InvalidParameterError(name, f"must be some of {known}, got {unknown!r}")
    return tuple(groups)


def _event_bus(environ: Mapping[str, str], name: str) -> str | None:
    text = environ.get(name)
    if text and not EVENT_BUS.fullmatch(text):
        raise InvalidParameterError(name, f"must be the name or ARN of an event bus, got {text!r}")
    return text or None


def _probability(environ: Mapping[str, str], name: str, *, default: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    if not re.fullmatch(r"0|1|[01]?\.\d+", text) or float(text) > 1:
        raise InvalidParameterError(name, f"must be a probability from 0 to 1, got {text!r}")
    return float(text)


def _positive(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InvalidParameterError(name, f"must be a positive integer, got {text!r}")
    return int(text)
