"""Parse forms with one audio file; their text is UTF-8, whatever the client declares."""

from __future__ import annotations

import re
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from audio_classifier.errors import RequestError, RequestTooLargeError
from audio_classifier.server.spool import SpooledBody

MAX_FIELDS: Final = 20
MAX_FIELD_BYTES: Final = 256 << 10  # of all fields together
MAX_PART_HEADERS: Final = 8
MAX_PART_HEADER_BYTES: Final = 4096
AUDIO: Final = "audio"
QUOTED: Final = re.compile(rb'"(?:\\.|[^"\\])*"')
EXTENDED_FILE_NAME: Final = re.compile(rb";\s*filename\*\s*=", re.IGNORECASE)  # RFC 5987
BASE64_STARTS: Final = (b"LS0", b"LS1")  # of the two hyphens that precede a boundary
MAX_SHOWN_BYTES: Final = 72  # of a boundary
MAX_SHOWN_START: Final = 24  # of a body
HINT: Final = "A gateway in front of the server must pass binary bodies on unchanged."
BASE64_HINT: Final = "The body is base64 text: set isBase64Encoded in the event, or send the bytes."
BOUNDARY_HINT: Final = (
    "Let the HTTP client set the header Content-Type, so that its boundary is that of the body."
)


class AudioForm:
    """A form whose file goes to a `SpooledBody`.

    Parsing takes time and writing may block: call `feed` in a thread.

    Parameters
    ----------
    content_type
        The request's header, which contains the boundary.  A charset in it is ignored: decoding some of
        Python's takes quadratic time.
    body
        Where to write the file of the field ``audio``.

    Attributes
    ----------
    fields
        The names and values of the text fields.
    file_type
        The media type of the file, possibly empty; None if the form has no complete file ``audio``.
    other_file
        The name of a field with another file; empty if there is none.

    Raises
    ------
    RequestError
        If the header has no usable boundary.
    """

    def __init__(self, content_type: str, body: SpooledBody) -> None:
        self.fields: list[tuple[str, str]] = []
        self.file_type: str | None = None
        self.other_file = ""
        self._body = body
        self._count_of_fields = self._count_of_files = 0
        self._field_bytes = 0
        self._header_name = self._header_value = b""
        self._disposition = self._part_type = b""
        self._name = ""
        self._value = bytearray()
        self._is_file = False
        self._start = b""
        self._begun = self._complete = False
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise RequestError(
                "the multipart body cannot be parsed: its media type has no boundary", hint=BOUNDARY_HINT
            )
        self._delimiter = b"--" + boundary
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._extend_header_name,
                    "on_header_value": self._extend_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._extend_part,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_count=MAX_PART_HEADERS,
                max_header_size=MAX_PART_HEADER_BYTES,
            )
        except FormParserError as error:
            raise _unparsable(error) from error

    def feed(self, data: bytes) -> None:
        """Parse the next piece of the body.

        Raises
        ------
        RequestError
            If the body is malformed, or has too many fields or files.
        RequestTooLargeError
            If the fields are too long.
        BusyError, StorageFullError
            See `SpooledBody.write`.
        """
        self._start = self._start or data[:MAX_SHOWN_BYTES]
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _unparsable(error) if self._begun else self._wrong_boundary() from error

    def finish(self) -> None:
        """Raise `RequestError` if the body ended before the form did."""
        if not self._start:
            raise RequestError("the multipart body is empty", hint="Send the recording in the field `audio`.")
        if not self._complete:
            raise RequestError(
                "the multipart body is truncated: it ends before its last boundary, "
                f"{_shown(self._delimiter + b'--')}",
                hint="Send it again; if that fails, check the limits of gateways between client and server.",
            )

    def _wrong_boundary(self) -> RequestError:
        hint = BASE64_HINT if self._start.startswith(BASE64_STARTS) else BOUNDARY_HINT
        if not self._start.startswith((*BASE64_STARTS, b"--")):
            hint = f"{BOUNDARY_HINT} {HINT}"
        start = _shown(self._start[:MAX_SHOWN_START])
        return RequestError(
            "the multipart body cannot be parsed: "
            f"it must begin with the boundary {_shown(self._delimiter)}, got {start}",
            hint=hint,
        )

    def _end(self) -> None:
        self._complete = True

    def _begin_part(self) -> None:
        self._begun = True
        self._disposition = self._part_type = b""
        self._value = bytearray()

    def _extend_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _extend_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        match self._header_name.lower():
            case b"content-disposition":
                self._disposition = self._header_value
            case b"content-type":
                self._part_type = self._header_value
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"name" not in options:
            raise RequestError("the multipart body cannot be parsed: a part has no name", hint=HINT)
        self._name = _text(options[b"name"])
        has_file_name = b"filename" in options or EXTENDED_FILE_NAME.search(
            QUOTED.sub(b"", self._disposition)
        )
        self._is_file = self._name == AUDIO or bool(has_file_name)
        if self._is_file:
            self._count_file()
        else:
            self._count_of_fields += 1
            if self._count_of_fields > MAX_FIELDS:
                raise RequestError(
                    f"a form must have at most {MAX_FIELDS} fields next to the file",
                    hint="Send only parameters of the prediction as fields.",
                )

    def _count_file(self) -> None:
        self._count_of_files += 1
        if self._count_of_files > 1:
            raise RequestError(
                f"a form must have at most one file, got a second one in the field {self._name!r:.80}",
                hint="Send a request for each recording, with the recording in the field `audio`.",
            )
        if self._name != AUDIO:
            self.other_file = self._name

    def _extend_part(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            if self._name == AUDIO:
                self._body.write(data[start:end])
            return
        self._field_bytes += end - start
        if self._field_bytes > MAX_FIELD_BYTES:
            raise RequestTooLargeError(
                f"the fields of a form must have at most {MAX_FIELD_BYTES} bytes together"
            )
        self._value += data[start:end]

    def _end_part(self) -> None:
        if not self._is_file:
            self.fields.append((self._name, _text(self._value)))
        elif self._name == AUDIO:
            self.file_type = self._part_type.decode("latin-1").partition(";")[0].strip()


def _text(content: bytes | bytearray) -> str:
    return content.decode(errors="replace")


def _shown(content: bytes) -> str:
    return repr(content[:MAX_SHOWN_BYTES])[1:]


def _unparsable(error: FormParserError) -> RequestError:
    return RequestError(f"the multipart body cannot be parsed: {error}", hint=HINT)
