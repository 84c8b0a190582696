"""Keep at most one of many consecutive streams open, because a decoder takes up to a megabyte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from audio_classifier.audio.streams import FrameStream
from audio_classifier.errors import AudioError


class OpenLink:
    """The stream that is open, shared by all `LinkStream` of a file."""

    def __init__(self) -> None:
        self.owner: LinkStream | None = None
        self.stream: FrameStream | None = None

    def replace(self, owner: LinkStream | None, stream: FrameStream | None) -> None:
        """Close the open stream, and keep another one, or none."""
        if self.stream is not None:
            self.stream.close()
        self.owner, self.stream = owner, stream


class LinkStream:
    """A `FrameStream` that is opened when it is read, and closed when another one is read.

    Parameters
    ----------
    open_link
        The slot for the open stream.
    open_stream
        Opens the stream; called at once, for its properties.
    """

    def __init__(self, open_link: OpenLink, open_stream: Callable[[], FrameStream]) -> None:
        self._open_link = open_link
        self._open_stream = open_stream
        stream = open_stream()
        self.info = stream.info
        self.warnings = stream.warnings
        self._position = 0
        open_link.replace(self, stream)

    def seek(self, frame: int) -> None:
        self._position = frame
        if self._open_link.owner is self:
            self._opened().seek(frame)
        else:
            self._opened()

    def expect(self, count: int) -> None:
        self._opened().expect(count)

    def read(self, count: int) -> NDArray[Any]:
        block = self._opened().read(count)
        self._position += len(block)
        return block

    def close(self) -> None:
        if self._open_link.owner is self:
            self._open_link.replace(None, None)

    def _opened(self) -> FrameStream:
        """Return the stream at the current position."""
        stream = self._open_link.stream
        if stream is None or self._open_link.owner is not self:
            stream = self._open_stream()
            stream.warnings = self.warnings
            self._open_link.replace(self, stream)
            if self._position > 0:
                stream.seek(self._position)
        return stream


def open_links(
    openers: Iterable[Callable[[], FrameStream]],
) -> tuple[list[FrameStream], list[AudioError]]:
    """Open consecutive streams.

    Returns
    -------
    Those that can be opened, and the errors of the others.

    Raises
    ------
    AudioError
        The first one, if no stream can be opened.
    """
    streams: list[FrameStream] = []
    failures: list[AudioError] = []
    open_link = OpenLink()
    for open_stream in openers:
        try:
            streams.append(LinkStream(open_link, open_stream))
        except AudioError as error:
            failures.append(error)
    if not streams:
        raise failures[0]
    return streams, failures
