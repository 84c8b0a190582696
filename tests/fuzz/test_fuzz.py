from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.checksums import crc8, crc16, ogg_crc32, ogg_page, ogg_pages, repair_ogg
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import seed_files

ROOT = Path(__file__).parents[2]


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own, because only a process with one thread may fork."""
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'function'}:{ROOT}", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environ)


@pytest.fixture(scope="module")
def seeds() -> dict[str, bytes]:
    return seed_files()


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    run = run_python("-m", "tests.fuzz", "--inputs", "250", "--seed", "15", "--folder", str(tmp_path))
    assert (run.returncode, list(tmp_path.iterdir())) == (0, []), run.stdout + run.stderr
    counts, _, _ = run.stdout.partition(", 0 crashes")
    read, refused = (
        int(word) for word in counts.replace(",", "").split() if word.isdigit() and word != "250"
    )
    assert read > 50
    assert refused > 50


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crash"),
        ("while True: pass", "hang"),
        ("raise ValueError('foreign')", "foreign exception"),
        ("bytearray(8 << 30)", "foreign exception"),
        ("libc.printf(b'Broken\\\\n')", "output"),
        ("raise EmptyAudioError('nothing')", "refused"),
        ("pass", "read"),
    ],
)
def test_what_happens_to_the_child_is_recognised(action: str, kind: str) -> None:
    code = f"""
import ctypes, os, signal
from random import Random
from audio_classifier.errors import EmptyAudioError
from tests.fuzz import run
libc = ctypes.CDLL(None)
def read(content, random):
    {action}
run._read, run.MAX_CPU_S = read, 1
print(run.read_in_child(b"", Random(0))[0])
"""
    result = run_python("-c", code)
    assert result.stdout.strip() == kind, result.stderr


def test_finding_is_saved_with_its_seed(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tests.fuzz import run
def fail(content, random):
    raise ValueError("foreign")
run._read = fail
print(run.fuzz(seed=7, max_inputs=2, folder=Path({str(tmp_path)!r}), only="FLAC-PCM_16"))
"""
    result = run_python("-c", code)
    assert "2 foreign exceptions" in result.stdout, result.stderr
    saved = sorted(path.name for path in tmp_path.iterdir())
    assert len(saved) == 4
    assert saved[0].startswith("foreign-exception-7-0-FLAC-PCM_16")
    assert "ValueError: foreign" in (tmp_path / f"{saved[0].removesuffix('.txt')}.txt").read_text()


def test_checksums_of_ogg_equal_those_of_the_encoder(seeds: dict[str, bytes]) -> None:
    pages = ogg_pages(seeds["OGG-VORBIS"])
    assert b"".join(pages) == seeds["OGG-VORBIS"]
    for page in pages:
        damaged = page[:22] + bytes(4) + page[26:]
        assert ogg_crc32(damaged) == int.from_bytes(page[22:26], "little")
        assert repair_ogg(damaged) == page
    assert len(ogg_page(pages[0], b"\x02", b"ab")) == 30


def test_checksums_of_flac_equal_those_of_the_encoder(seeds: dict[str, bytes]) -> None:
    content = seeds["FLAC-PCM_16"]
    frame = content[content.rindex(b"\xff\xf8") :]
    assert any(crc8(frame[:size]) == frame[size] for size in range(5, 17))
    assert crc16(frame[:-2]) == int.from_bytes(frame[-2:], "big")


def test_mutation_depends_only_on_its_seed(seeds: dict[str, bytes]) -> None:
    others = list(seeds.values())
    for name, content in seeds.items():
        changed = {mutate(content, others, Random(seed)) for seed in range(20)}
        assert changed == {mutate(content, others, Random(seed)) for seed in range(20)}, name
        assert len(changed) > 15, name


def test_pages_of_mutated_ogg_files_keep_correct_checksums(seeds: dict[str, bytes]) -> None:
    from tests.fuzz.mutations import _ogg

    content = seeds["OGG-VORBIS"]
    for seed in range(100):
        changed = _ogg(content, Random(seed))
        assert b"".join(repair_ogg(page) for page in ogg_pages(changed)) == changed
