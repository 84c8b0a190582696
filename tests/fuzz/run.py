"""Read mutated files in child processes, in which a crash or endless loop harms nobody."""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias

from audio_classifier.audio.reader import AudioReader, read_window
from audio_classifier.errors import AudioError, InvalidParameterError
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import seed_files

Kind: TypeAlias = Literal["read", "refused", "crash", "hang", "foreign exception", "output"]
KIND_TEXTS: Final[dict[Kind, str]] = {
    "read": "read",
    "refused": "refused",
    "crash": "crashes",
    "hang": "hangs",
    "foreign exception": "foreign exceptions",
    "output": "with output",
}
MAX_MEMORY_BYTES: Final = 2 << 30
MAX_CPU_S: Final = 10
MAX_WALL_S: Final = 120
READ, REFUSED, FOREIGN = 0, 10, 11
STARTS_S: Final = (0.0, 0.5, 0.97, 1.0, 1.05, 2.0, 50.0, 1e6, 1e15)
# cffi prints exceptions that it cannot pass through libsndfile.
UNRAISED: Final = b"Exception ignored"


@dataclass(slots=True)
class Report:
    """What happened to the inputs, and the names of those that are findings."""

    counts: Counter[Kind] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{self.counts[kind]} {text}" for kind, text in KIND_TEXTS.items())
        return "\n".join([f"{self.counts.total()} inputs: {counts}", *self.findings])


def fuzz(
    *, seed: int, max_inputs: int | None = None, max_s: float = float("inf"), folder: Path, only: str = ""
) -> Report:
    """Read mutated files until the number of inputs or the time is reached; findings are saved in ``folder``.

    Input ``n`` of a seed is always the same file, read in the same way.
    """
    seeds = {name: content for name, content in seed_files().items() if only in name}
    names, contents = list(seeds), list(seeds.values())
    report, deadline, index = Report(), time.monotonic() + max_s, 0
    while (max_inputs is None or index < max_inputs) and time.monotonic() < deadline:
        random = Random(f"{seed}-{index}")
        name = random.choice(names)
        content = mutate(seeds[name], contents, random)
        kind, text = read_in_child(content, random)
        report.counts[kind] += 1
        if kind not in ("read", "refused"):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{kind.replace(' ', '-')}-{seed}-{index}-{name}"
            path.write_bytes(content)
            path.with_name(f"{path.name}.txt").write_text(text)
            report.findings.append(f"{path}: {text.strip().splitlines()[-1] if text.strip() else kind}")
        index += 1
    return report


def read_in_child(content: bytes, random: Random) -> tuple[Kind, str]:
    """Read a file in a forked process; return what happened, and its output or traceback."""
    output, errors = os.memfd_create("stdout"), os.memfd_create("stderr")
    child = os.fork()
    if child == 0:
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os._exit(_read_limited(content, random))
    _, status = os.waitpid(child, 0)
    text, printed = _content(errors), _content(output)
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGALRM):
        return "hang", f"{text}\nstopped by {signal.Signals(-code).name}"
    if code < 0:
        return "crash", f"{text}\n{signal.Signals(-code).name}"
    if code == FOREIGN or UNRAISED.decode() in text:
        return "foreign exception", text
    if printed:
        return "output", printed
    return ("read" if code == READ else "refused"), ""


def _read_limited(content: bytes, random: Random) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(MAX_WALL_S)
    code = REFUSED
    try:
        for _ in range(3):
            with suppress(AudioError, InvalidParameterError):
                _read(content, random)
                code = READ
    except BaseException:  # noqa: BLE001  # reported as a finding
        traceback.print_exc()
        code = FOREIGN
    ctypes.CDLL(None).fflush(None)  # C's own buffers, which `os._exit` would drop
    return code


def _read(content: bytes, random: Random) -> None:
    """Read a window, consecutive blocks, or windows in any order."""
    start_s = random.uniform(0, 1.2) if random.random() < 0.8 else random.choice(STARTS_S)
    kind = random.randrange(3)
    if kind == 0:
        source = content if random.random() < 0.5 else io.BytesIO(content)
        read_window(source, start_s=start_s, patches=random.choice((1, 10)))
        return
    with AudioReader(content) as reader:
        if kind == 1:
            for count, _ in enumerate(reader.blocks(random.choice((1, 2, 16)))):
                if count == 4:
                    return
        for _ in range(4):
            reader.window(start_s, 15_600)
            start_s = random.uniform(0, 1.2)


def _content(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read(100_000).decode(errors="replace")
