"""An object in a bucket -> its result, as JSON, in the results bucket.

Whatever calls this may call it again, at the same time, or late: the same object and the same model give the
same result at the same place, and nothing is done where it stands already.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Final, Literal, TypeAlias

from audio_classifier.constants import EVENT_HOP_S, EVENT_THRESHOLD, EVENT_WINDOW_S
from audio_classifier.errors import (
    AudioError,
    InvalidParameterError,
    ObjectTooLargeError,
    RemoteNotFoundError,
    TransferError,
)
from audio_classifier.inference.record import (
    LOST_RACE,
    WRITTEN_BY,
    answer_of,
    failure_of,
    model_of,
    source_of,
)
from audio_classifier.inference.selection import Selection
from audio_classifier.s3.client import http_status, s3_client
from audio_classifier.s3.objects import ObjectRef, S3File, check_readable
from audio_classifier.server.schemas import PredictParameters
from audio_classifier.service.predict import gather, timeline
from audio_classifier.service.shared_classifier import Service

BUCKET: Final = "{bucket}"  # in the prefix of results: the object's
WRITE_ATTEMPTS: Final = 3
TIMELINE: Final = PredictParameters.model_validate(
    {"timeline": True, "window": EVENT_WINDOW_S, "hop": EVENT_HOP_S, "threshold": EVENT_THRESHOLD}
)
S3_ENCRYPTION: Final = {"ServerSideEncryption": "AES256"}

Place: TypeAlias = tuple[str, str]
"""Bucket and key."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an object: where its result is, and which error that names, if any."""

    state: Literal["stored", "unchanged", "skipped"]
    place: Place = ("", "")
    error: str = ""

    def __str__(self) -> str:
        place = f" s3://{'/'.join(self.place)}" if self.place[1] else ""
        return self.state + place + (f": {self.error}" if self.error else "")


class Uploads:
    """Classifies objects and stores what is heard.

    Parameters
    ----------
    service
        Whose settings say where results go.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.settings = service.settings

    @cached_property
    def client(self) -> Any:
        """Of S3, made at its first use."""
        return s3_client()

    def forget_client(self) -> None:
        """Make a new one at its next use, with connections and credentials of then."""
        self.__dict__.pop("client", None)

    def result_place(self, ref: ObjectRef) -> Place:
        """Bucket and key of an object's result."""
        return self.settings.results_bucket or ref.bucket, f"{self._results_prefix(ref)}{ref.key}.json"

    def process(self, ref: ObjectRef) -> Stored:
        """Classify an object and store the result, unless it stands already.

        What can never succeed (no sound, nothing there, too large) is stored as a result that says so.

        Raises
        ------
        TransferError, BundleError
            If a later try may succeed; nothing is stored then.
        """
        if self._is_ours(ref):
            return Stored("skipped")
        begin = time.perf_counter()
        bundle = self._service.load().bundle
        place = self.result_place(ref)
        source: dict[str, Any] = {"bucket": ref.bucket, "key": ref.key, "version_id": ref.version_id}

        def result(answer: dict[str, Any]) -> dict[str, Any]:
            return {
                **answer,
                "source": source,
                "model": model_of(bundle),
                "work_seconds": round(time.perf_counter() - begin, 4),
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
            }

        try:
            file = S3File(self.client, ref)
        except RemoteNotFoundError as error:  # is said, unless a result stands there
            return self._store(place, result(failure_of(error)), None, lambda _: True)
        if WRITTEN_BY in file.metadata:
            return Stored("skipped")
        source = source_of(file)
        is_final = partial(_is_final, source=source, digest=bundle.digest)
        standing, tag = self._standing_result(place)
        if standing is not None and is_final(standing):
            return Stored("unchanged", place, _error_in(standing))
        try:
            answer = self._classify(file)
        except (AudioError, RemoteNotFoundError) as error:
            answer = failure_of(error)
        return self._store(place, result(answer), tag, is_final)

    def process_all(self, refs: Iterable[ObjectRef]) -> list[str]:
        """Classify all; what may succeed later keeps no other from its turn, and is raised in the end."""
        stored: list[str] = []
        failures: list[Exception] = []
        for ref in refs:
            try:
                stored.append(str(self.process(ref)))
            except Exception as error:  # noqa: BLE001  # raised below
                _log.warning("%s will have to be tried again: %s", ref, error)
                failures.append(error)
        if failures:
            raise failures[0]
        return stored

    def open_allowed(self, uri: object) -> S3File:
        """Open an object that a client named.

        Raises
        ------
        InvalidParameterError
            If it is no ``s3://bucket/key``, that bucket may not be read, or there is no such object.
        TransferError
            If it cannot be read now.
        """
        ref = ObjectRef.parse(uri)
        check_readable(ref, self.settings)
        try:
            file = S3File(self.client, ref)
        except RemoteNotFoundError as error:
            raise InvalidParameterError("audio", str(error)) from error
        self._check_size(file)
        return file

    def result(self, ref: ObjectRef) -> dict[str, Any] | None:
        """The result of an object, None as long as there is none."""
        return self._standing_result(self.result_place(ref))[0]

    def exists(self, ref: ObjectRef) -> bool:
        """Whether there is such an object."""
        try:
            S3File(self.client, ref)
        except RemoteNotFoundError:
            return False
        return True

    def _is_ours(self, ref: ObjectRef) -> bool:
        """Whether it is a folder, or stands where results stand."""
        results_bucket, _ = self.result_place(ref)
        common_prefix = self.settings.results_prefix.partition(BUCKET)[0] or self._results_prefix(ref)
        below_results = ref.bucket == results_bucket and ref.key.startswith(common_prefix)
        return ref.key.endswith("/") or below_results

    def _results_prefix(self, ref: ObjectRef) -> str:
        return self.settings.results_prefix.replace(BUCKET, ref.bucket)

    def _check_size(self, file: S3File) -> None:
        if file.size > self.settings.max_object_bytes:
            raise ObjectTooLargeError(
                f"the object has {file.size} bytes, more than the {self.settings.max_object_bytes} accepted"
            )

    def _classify(self, file: S3File) -> dict[str, Any]:
        self._check_size(file)
        result = self._service.classify(file, Selection(self._service.load().labels))
        answer, seconds = answer_of(result), result.audio.duration_s
        over_s = self.settings.timeline_over_s
        if over_s is not None and (seconds is None or seconds > over_s):
            answer["timeline"] = self._timeline(file)
        return answer

    def _timeline(self, file: S3File) -> dict[str, Any]:
        """Windows and events; where the recording breaks off, or is too long, up to there and why."""
        answer: dict[str, Any] = {"status": "ok"}
        try:
            gather(timeline(self._service, file, TIMELINE), answer)
        except AudioError as error:
            answer |= failure_of(error)
        return answer

    def _standing_result(self, place: Place) -> tuple[dict[str, Any] | None, str | None]:
        """The result that is there already, and its ETag; None where there is none that can be read."""
        from botocore.exceptions import BotoCoreError, ClientError

        bucket, key = place
        try:
            answer = self.client.get_object(Bucket=bucket, Key=key)
            content = answer["Body"].read()
        except (BotoCoreError, ClientError) as error:
            # Without the right to list, S3 says 403 for what is not there.
            if http_status(error) in (403, 404):
                return None, None
            raise TransferError(f"s3://{bucket}/{key}: {error}") from error
        return _parse_result(content), answer["ETag"]

    def _store(
        self,
        place: Place,
        result: dict[str, Any],
        replaced: str | None,
        is_final: Callable[[dict[str, Any]], bool],
    ) -> Stored:
        """Store a result instead of that with the ETag ``replaced``, unless a final one came in between."""
        for _ in range(WRITE_ATTEMPTS):
            if self._write(place, result, replaced):
                _log.info("stored s3://%s/%s: %s", *place, result["status"])
                return Stored("stored", place, _error_in(result))
            standing, replaced = self._standing_result(place)
            if standing is not None and is_final(standing):
                return Stored("unchanged", place, _error_in(standing))
        raise TransferError(f"s3://{'/'.join(place)}: others keep writing it")

    def _write(self, place: Place, result: dict[str, Any], replaced: str | None) -> bool:
        """Write if nobody else wrote since; whether it was written."""
        from botocore.exceptions import BotoCoreError, ClientError

        bucket, key = place
        kms_key = self.settings.results_kms_key
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else S3_ENCRYPTION
        try:
            self.client.put_object(
                Bucket=bucket,
                Key=key,
                Body=json.dumps(result, indent=2).encode(),
                ContentType="application/json",
                Metadata={WRITTEN_BY: result["model"]["version"]},
                **({"IfMatch": replaced} if replaced else {"IfNoneMatch": "*"}),
                **encryption,
            )
        except (BotoCoreError, ClientError) as error:
            if http_status(error) in LOST_RACE:
                return False
            raise TransferError(f"s3://{bucket}/{key}: {error}") from error
        return True


def _error_in(result: dict[str, Any]) -> str:
    return str(result.get("error", {}).get("message", ""))


def _is_final(standing: dict[str, Any], source: dict[str, Any], digest: str) -> bool:
    """Whether a result is of the same object by the same model, or of a newer state of the object."""
    of = standing["source"]
    if any(of.get(name) != source[name] for name in ("bucket", "key")):
        return False
    if of.get("last_modified", "") > source["last_modified"]:
        return True
    same_object = all(of.get(name) == source[name] for name in ("version_id", "etag"))
    return bool(same_object and standing["model"].get("digest") == digest)


def _parse_result(content: bytes) -> dict[str, Any] | None:
    """A stored result, None if it is none of ours."""
    try:
        result = json.loads(content)
        last_modified = result["source"].get("last_modified", "")
        ours = isinstance(last_modified, str) and isinstance(result["model"], dict)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return result if ours else None
