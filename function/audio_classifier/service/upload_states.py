"""The states of an object on its way to a stored result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from audio_classifier.s3.json_documents import StoredDocument
from audio_classifier.s3.location import S3Location
from audio_classifier.s3.objects import S3File
from audio_classifier.service.object_results import Stored, Unchanged


@dataclass(frozen=True, slots=True)
class Skipped:
    """The object is a folder or a result, which are not classified."""

    state: ClassVar[str] = "skipped"
    error: ClassVar[str] = ""

    def __str__(self) -> str:
        return self.state


Outcome: TypeAlias = Stored | Unchanged | Skipped


@dataclass(frozen=True, slots=True)
class OpenedObject:
    """An object without a final result, of which nothing has been downloaded.

    Attributes
    ----------
    file
        The object.
    source, model
        The identities of the object and the model, for the result.
    result_location
        Where the result is going to be stored.
    existing
        What is stored there, and is not final.
    is_final
        Whether a document that another writer stores there must stay.
    work_s
        How long it took.
    """

    file: S3File
    source: dict[str, Any]
    model: dict[str, Any]
    result_location: S3Location
    existing: StoredDocument | None
    is_final: Callable[[Any], bool]
    work_s: float


@dataclass(frozen=True, slots=True)
class ClassifiedObject:
    """An object whose first ten seconds are classified.

    Attributes
    ----------
    opened
        The object.
    record
        The classification, or the permanent failure.
    timeline_is_due
        Whether the result must have a timeline.
    work_s
        How long opening and classifying took.
    """

    opened: OpenedObject
    record: dict[str, Any]
    timeline_is_due: bool
    work_s: float
