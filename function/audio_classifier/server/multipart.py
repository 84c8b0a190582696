"""Parse forms with one audio file; their text is UTF-8, whatever the client declares."""

from __future__ import annotations

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from audio_classifier.errors import RequestError, RequestTooLargeError
from audio_classifier.server.spool import SpooledBody

MAX_FIELDS: Final = 20
MAX_FIELD_BYTES: Final = 256 << 10  # of all fields together
MAX_PART_HEADERS: Final = 8
MAX_PART_HEADER_BYTES: Final = 4096
HINT: Final = "A gateway in front of the server must pass binary bodies on unchanged."


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
        The text fields.
    file_type
        The media type of the file, possibly empty; None if the form has no complete file ``audio``.

    Raises
    ------
    RequestError
        If the header has no usable boundary.
    """

    def __init__(self, content_type: str, body: SpooledBody) -> None:
        self.fields: dict[str, str] = {}
        self.file_type: str | None = None
        self._body = body
        self._count_of_fields = self._count_of_files = 0
        self._field_bytes = 0
        self._header_name = self._header_value = b""
        self._disposition = self._part_type = b""
        self._name = ""
        self._value = bytearray()
        self._is_file = False
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise RequestError(
                "the multipart body cannot be parsed: its media type has no boundary", hint=HINT
            )
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
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _unparsable(error) from error

    def _begin_part(self) -> None:
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
        self._is_file = b"filename" in options
        if self._is_file:
            self._count_of_files += 1
            if self._count_of_files > 1:
                raise RequestError("a form must have at most one file")
        else:
            self._count_of_fields += 1
            if self._count_of_fields > MAX_FIELDS:
                raise RequestError(f"a form must have at most {MAX_FIELDS} fields next to the file")

    def _extend_part(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            if self._name == "audio":
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
            self.fields[self._name] = _text(self._value)
        elif self._name == "audio":
            self.file_type = self._part_type.decode("latin-1").partition(";")[0].strip()


def _text(content: bytes | bytearray) -> str:
    return content.decode(errors="replace")


def _unparsable(error: FormParserError) -> RequestError:
    return RequestError(f"the multipart body cannot be parsed: {error}", hint=HINT)
