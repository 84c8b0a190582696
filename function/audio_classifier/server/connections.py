"""Connections of `serve`: close those whose client sends no request, or does not read its response."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from audio_classifier.errors import InvalidParameterError

MAX_CONNECTIONS: Final = 4096
RESERVED_FILES: Final = 512  # open files that are not connections: temporary files, S3, the model
EVICTED_SHARE: Final = 0.1
BACKLOG: Final = 2048  # as uvicorn's


class BoundedConnection(H11Protocol):
    """One HTTP connection of uvicorn, with the timeouts that uvicorn does not have.

    uvicorn closes a connection that is idle after a response.  It waits without limit for the first request,
    for the rest of a header, for the rest of a body that the application does not read, and for a client that
    does not read a response.  If there are too many connections, the longest idle ones are closed, so that
    new clients are always served.
    """

    max_connections: ClassVar[int] = MAX_CONNECTIONS
    idle_timeout_s: ClassVar[float] = 30.0
    write_timeout_s: ClassVar[float] = 30.0
    interval_s: ClassVar[float] = 5.0  # between two checks

    _timer: asyncio.TimerHandle | None = None
    _idle_since_s = 0.0
    _sent_at_s = 0.0  # when the client last accepted data
    _unsent_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
        super().connection_made(transport)
        # uvicorn sends header and body separately; asyncio sets this only for sockets that it binds itself.
        accepted = transport.get_extra_info("socket")
        if accepted is not None and accepted.family in (socket.AF_INET, socket.AF_INET6):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._idle_since_s = self._sent_at_s = self.loop.time()
        self._timer = self.loop.call_later(self.interval_s, self._check)
        if len(self.connections) > self.max_connections:
            self._close_longest_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._idle_since_s = self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._sent_at_s = self.loop.time()
        super().resume_writing()

    def _check(self) -> None:
        """Abort the connection if the client has done nothing for too long."""
        self._timer = self.loop.call_later(self.interval_s, self._check)
        now_s = self.loop.time()
        unsent_bytes = self.transport.get_write_buffer_size()
        if self._in_request():
            self._idle_since_s = now_s
        # As long as the application may add data, a buffer that does not shrink means nothing.
        complete = self.flow.write_paused or not self._in_request()
        if not (complete and unsent_bytes and unsent_bytes >= self._unsent_bytes):
            self._sent_at_s = now_s
        self._unsent_bytes = unsent_bytes
        if now_s - self._sent_at_s >= self.write_timeout_s or (
            not unsent_bytes and now_s - self._idle_since_s >= self.idle_timeout_s
        ):
            self.transport.abort()

    def _in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _close_longest_idle(self) -> None:
        idle = [
            connection
            for connection in self.connections
            if isinstance(connection, BoundedConnection)
            and connection is not self
            and not connection._in_request()
            and not connection.transport.get_write_buffer_size()
        ]
        idle.sort(key=lambda connection: connection._idle_since_s)
        # Several at once, because searching for them takes time.
        for connection in idle[: max(1, round(EVICTED_SHARE * len(idle)))]:
            connection.transport.abort()


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Bind a socket for each address of a host name, all with the same port.

    Raises
    ------
    InvalidParameterError
        If the host is unknown, or the port is used by another program or reserved.
    """
    sockets: list[socket.socket] = []
    try:
        for family, *_, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            number = sockets[0].getsockname()[1] if sockets else port  # 0 stands for any free one
            bound = socket.create_server((address[0], number), family=family, backlog=BACKLOG)
            sockets.append(bound)
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise InvalidParameterError(
            "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host",
            f"cannot listen on {host}:{port}: {_reason(error)}",
            hint="Stop the other program, or choose another --port."
            if error.errno == errno.EADDRINUSE
            else "Choose another --host or --port.",
        ) from error
    return sockets


def _reason(error: OSError) -> str | None:
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror
    return os.strerror(error.errno)  # asyncio and `socket` add the address to their text


def server_options() -> dict[str, Any]:
    """Return the options of uvicorn with which the application is served.

    ``limit_concurrency`` is not among them, because it would also refuse ``/healthz``.
    """
    return {"http": BoundedConnection, "ws": "none", "server_header": False}


def permit_open_files() -> None:
    """Permit as many open files as the system allows, and adapt the number of connections to it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        BoundedConnection.max_connections = max(soft // 2, soft - RESERVED_FILES)
