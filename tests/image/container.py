"""Run hardened containers of an image: read-only, without capabilities, with /tmp in memory."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from devtools.ports import answers, free_port, wait_until

ENGINE = os.environ.get("ENGINE", "")
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp:rw,mode=1777,size=512m", "--cap-drop", "all"),
    *("--security-opt", "no-new-privileges", "--network", "host"),
)


@dataclass(frozen=True)
class Image:
    """An image in the engine's local storage."""

    name: str

    @classmethod
    def from_environment(cls, variable: str) -> Self | None:
        """Return the image that an environment variable names, or None without the variable or an engine."""
        name = os.environ.get(variable)
        return cls(name) if name and ENGINE else None

    def inspect(self) -> dict[str, Any]:
        """Return the engine's description of the image."""
        run = subprocess.run([ENGINE, "image", "inspect", self.name], capture_output=True, check=True)
        (described,) = json.loads(run.stdout)
        assert isinstance(described, dict)
        return described

    def command(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        options: Sequence[str] = (),
        entrypoint: str | None = None,
        hardened: bool = True,
    ) -> list[str]:
        """Return the command that runs ``arguments`` in a container, with files of this machine mounted."""
        command = [ENGINE, "run", "--rm", "--no-healthcheck", *(HARDENED if hardened else ()), *options]
        for name, value in (environment or {}).items():
            command += ["--env", f"{name}={value}"]
        for source, target in (mounts or {}).items():
            command += ["--volume", f"{source}:{target}:ro"]
        if entrypoint:
            command += ["--entrypoint", entrypoint]
        return [*command, self.name, *arguments]

    def run(
        self, *arguments: str, stdin: bytes = b"", options: Sequence[str] = (), **settings: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in a container and wait for it; ``settings`` are those of `command`."""
        command = self.command(*arguments, options=("--interactive", *options), **settings)
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)

    @contextmanager
    def serving(self, log: Path, *options: str) -> Iterator[Server]:
        """Start the HTTP server in a container, and yield it when it is ready."""
        port, name = free_port(), f"test-{uuid.uuid4().hex}"
        command = self.command(environment={"PORT": str(port)}, options=("--name", name, *options))
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        server = Server(f"http://127.0.0.1:{port}", name, process)
        try:
            wait_until(lambda: answers(f"{server.url}/readyz"), alive=lambda: process.poll() is None)
            yield server
        finally:
            server.signal("KILL")
            process.wait(10)


@dataclass(frozen=True)
class Server:
    """A container that runs the HTTP server."""

    url: str
    name: str
    process: subprocess.Popen[bytes]

    def signal(self, name: str) -> None:
        """Send a signal to the container's first process."""
        subprocess.run([ENGINE, "kill", "--signal", name, self.name], capture_output=True, check=False)

    def execute(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run another command in the container."""
        return subprocess.run([ENGINE, "exec", self.name, *command], capture_output=True, check=False)
