"""Check the documents against the code, and run the commands and examples in them."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import requests

from audio_classifier.cli.clip_formats import bar
from audio_classifier.cli.parser import build_parser
from audio_classifier.errors import (
    AudioClassifierError,
    AudioError,
    ConversionError,
    NoInputError,
    OutputError,
    ProcessingFailedError,
)
from audio_classifier.model.manifest import CLIP_FILES, FILES, LINEAR_HEAD
from audio_classifier.s3.location import S3Location
from audio_classifier.server.errors import status_of
from audio_classifier.service.settings import PREFIX, Settings
from audio_classifier.service.uploads import Uploads
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "function" / "audio_classifier"
README, ARCHITECTURE, COMMAND_LINE, HTTP, SETTINGS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "docs/architecture.md",
        "docs/command-line.md",
        "docs/http.md",
        "docs/settings.md",
    )
)


def lines_of(kind: str, *texts: str) -> list[str]:
    """Return the lines of all code blocks of a kind."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", "".join(texts), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


COMMANDS = lines_of("sh", README, COMMAND_LINE)


def subcommand(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: argparse.ArgumentParser = action.choices[name]
            return found
    raise KeyError(name)


def subclasses(cls: type[AudioClassifierError]) -> Iterator[type[AudioClassifierError]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from subclasses(subclass)


def anchors_of(path: Path) -> list[str]:
    """Return the anchors that GitHub generates for the headings of a document."""
    headings = re.findall(r"^#+ (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_readme_starts_with_classify_and_test_commands() -> None:
    assert COMMANDS[:2] == ["make classify WAV=assets/thunder.wav", "make test"]


@pytest.mark.parametrize(
    "command", sorted({command for command in COMMANDS if not command.startswith("make ")})
)
def test_documented_command_succeeds_and_prints_output(command: str, tmp_path: Path) -> None:
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    binaries = Path(sys.executable).parent
    assert command.startswith(".venv/bin/audio-classifier ")
    command = command.replace(".venv/bin/", f"{binaries}{os.sep}")
    result = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_documented_requests_succeed() -> None:
    with serving() as (url, service):
        service.load()
        for command in lines_of("curl", README, HTTP):
            command = command.replace("http://localhost:5000", url)
            result = subprocess.run(
                command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert result.returncode == 0, result.stderr
            answer = json.loads(result.stdout)
            assert answer.get("status", "ok") == "ok", answer


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_documented_upload_is_classified(s3: Any, tmp_path: Path) -> None:
    (example,) = re.findall(r"```bash\n(.*?)```", HTTP, re.DOTALL)
    s3.create_bucket(Bucket="uploads")
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    with serving(uploads_bucket="uploads") as (url, service):
        script = example.replace("http://localhost:5000", url)
        run = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert json.loads(run.stdout) == {"status": "pending"}, run.stdout + run.stderr
        uploaded = s3.list_objects_v2(Bucket="uploads")["Contents"][0]["Key"]
        assert str(Uploads(service).process(S3Location("uploads", uploaded))).startswith("stored ")


def test_table_of_routes_lists_every_route() -> None:
    with serving(uploads_bucket="uploads", read_buckets=("uploads",)) as (url, _):
        routes = requests.get(f"{url}/openapi.json", timeout=5).json()["paths"]
    documented = re.findall(r"`(?:GET|POST) (/[a-z._/{}]*)`", HTTP)
    assert {*routes, "/", "/demo", "/openapi.json", "/swagger.json"} == {*documented}


def test_table_of_error_codes_lists_every_code_with_its_status() -> None:
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| (\d{3}) \|", HTTP, re.MULTILINE)
    documented = [(code, int(status)) for codes, status in rows for code in re.findall(r"`(\w+)`", codes)]
    bases = {AudioClassifierError, AudioError}
    only_elsewhere = {
        NoInputError,
        ProcessingFailedError,
        *subclasses(OutputError),
        *subclasses(ConversionError),
    }
    classes = {*subclasses(AudioClassifierError)} - bases - only_elsewhere
    http_errors = [("not_found", 404), ("method_not_allowed", 405), ("internal_error", 500)]
    assert sorted(documented) == sorted([(cls.code, status_of(cls)) for cls in classes] + http_errors)


def test_make_targets_in_readme_exist() -> None:
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*re.findall(r"`?make ([a-z0-9-]+)", README)} <= {*targets}


def test_python_example_in_readme_succeeds() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) > 5


def test_python_example_reads_the_file_of_the_command_before_it(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", COMMAND_LINE, re.DOTALL)
    command = [sys.executable, "-m", "audio_classifier", "embed", str(ROOT / "assets"), "-o", "sounds.npz"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    shape, name = re.findall(r"\(\d+, 128\)|\S+alarm\.wav 0\.0", result.stdout)
    assert shape
    assert name


def test_output_shown_in_readme_equals_printed_output() -> None:
    (shown,) = re.findall(r"```console\n\$ make classify WAV=(\S+)\n(.*?)```", README, re.DOTALL)
    command = [Path(sys.executable).with_name("audio-classifier"), "classify", shown[0]]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pattern = r"^ *([\d.]+)%  ([█▏▎▍▌▋▊▉]+) +(\S.*)$"
    rows, expected = (re.findall(pattern, text, re.MULTILINE) for text in (printed, shown[1]))
    assert [label for *_, label in rows] == [label for *_, label in expected]
    assert len(expected) == len(shown[1].splitlines()) == 5
    for (percent, drawn, _), (shown_percent, shown_bar, _) in zip(rows, expected, strict=True):
        # CPUs differ in rounding, which 8-bit quantisation amplifies.
        assert float(percent) == pytest.approx(float(shown_percent), abs=1)
        assert len(drawn) == pytest.approx(len(shown_bar), abs=1)
        drawn_of = {bar(float(shown_percent) / 100 + rounded).strip() for rounded in (-0.0005, 0, 0.0005)}
        assert shown_bar in drawn_of


@pytest.mark.parametrize("command", ["classify", "timeline", "plot", "embed", "search", "evaluate", "train"])
def test_table_of_options_lists_every_option_and_choice(command: str) -> None:
    options = {
        action.option_strings[-1]: action
        for action in subcommand(build_parser(), command)._actions
        if action.option_strings
    }
    (table,) = re.findall(rf"^\| option of `{command}` \|.*\n((?:\|.*\n)+)", COMMAND_LINE, re.MULTILINE)
    documented = {re.findall(r"--[a-z-]+", row)[0]: row for row in table.splitlines() if "`--" in row}
    assert documented.keys() == options.keys() - {"--help"}
    for name, option in options.items():
        for choice in option.choices or ():
            assert choice in documented[name]


def test_table_of_environment_variables_lists_every_setting() -> None:
    documented = re.findall(rf"^\| `({PREFIX}\w+)` \|", SETTINGS, re.MULTILINE)
    assert sorted(documented) == sorted(PREFIX + field.name.upper() for field in fields(Settings))


def test_table_of_packages_lists_every_package() -> None:
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    rows = re.findall(r"^\| `(\w+)/` \| [^|]+ \| ([^|]+) \|$", ARCHITECTURE, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(packages)
    imported = {name for _, imports in rows for name in re.findall(r"`(\w+)`", imports)}
    assert imported <= {*packages}


def test_table_of_bundle_files_lists_every_file() -> None:
    assert {*FILES, LINEAR_HEAD, *CLIP_FILES} <= {
        *re.findall(r"^\| `([\w.]+)` \|", ARCHITECTURE, re.MULTILINE)
    }


def test_tables_of_dependencies_list_every_requirement_and_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    groups = [project["project"]["dependencies"], *extras.values(), *project["dependency-groups"].values()]
    requirements = [entry for group in groups for entry in group if isinstance(entry, str)]
    names = [re.split(r"[\[><=]", requirement)[0] for requirement in requirements]
    table = "\n".join(line for line in ARCHITECTURE.splitlines() if line.startswith("|"))
    assert [name for name in names if name not in table] == []
    assert [extra for extra in extras if f"| `{extra}` |" not in table] == []


def test_doctests_of_classifier_pass() -> None:
    import doctest

    import audio_classifier.inference.classifier

    before = Path.cwd()
    os.chdir(ROOT)
    try:
        results = doctest.testmod(audio_classifier.inference.classifier)
    finally:
        os.chdir(before)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    "path",
    sorted(
        path for path in ROOT.rglob("*.md") if not {"build", "dist"} & {*path.parts} and "/." not in str(path)
    ),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_relative_links_point_to_existing_files_and_headings(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        linked = path.parent / target if target else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(linked)
