"""The location of an object in S3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from audio_classifier.errors import InvalidParameterError
from audio_classifier.escaping import printable

MAX_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket, a key and, in a versioned bucket, a version.

    Its text is the `uri` with unprintable characters escaped, for messages.

    Attributes
    ----------
    sequencer
        The hexadecimal number by which a notification orders the events of the key; not part of the identity.

    Raises
    ------
    InvalidParameterError
        If one of them is empty or not valid text.
    """

    bucket: str
    key: str
    version_id: str | None = None
    sequencer: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        parts = (self.bucket, self.key, self.version_id or "null")
        if not all(isinstance(part, str) and part and _is_utf8(part) for part in parts):
            raise InvalidParameterError("audio", f"{_shown(parts)} is not the location of an object")

    def __str__(self) -> str:
        return printable(self.uri)

    @property
    def uri(self) -> str:
        """The URI ``s3://bucket/key``, with any characters that the key contains."""
        return f"s3://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, uri: object) -> S3Location:
        """Parse ``s3://bucket/key``.

        Raises
        ------
        InvalidParameterError
            If ``uri`` has another form.
        """
        scheme, _, path = uri.partition("://") if isinstance(uri, str) else ("", "", "")
        bucket, _, key = path.partition("/")
        if scheme != "s3" or not bucket or not key:
            raise InvalidParameterError("audio", f"{_shown(uri)} is not s3://bucket/key")
        return cls(bucket, key)

    def arguments(self) -> dict[str, str]:
        """Return the location as arguments of boto3's methods."""
        version = {"VersionId": self.version_id} if self.version_id else {}
        return {"Bucket": self.bucket, "Key": self.key, **version}


def _shown(value: object) -> str:
    return repr(value)[:MAX_SHOWN_CHARACTERS]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeError:  # half of a surrogate pair
        return False
    return True
