from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier.cli.errors import describe
from audio_classifier.cli.parser import main
from audio_classifier.convert.efficientat_models import PUBLISHED
from audio_classifier.convert.import_efficientat import import_efficientat
from audio_classifier.convert.mobilenet import network
from audio_classifier.convert.mobilenet_export import run_network
from audio_classifier.convert.mobilenet_reference import forward
from audio_classifier.errors import (
    ArtifactFormatError,
    ArtifactNotFoundError,
    ArtifactUnverifiedError,
    AudioClassifierError,
    BundleInvalidError,
    InvalidParameterError,
    RemoteTooLongError,
    TransferError,
)
from audio_classifier.model.bundle import Bundle
from tests.support.servers import FileServer
from tests.support.torch_files import random_state, write_state

NAME = "mn01"
FILE = PUBLISHED[NAME].file


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write random weights of the smallest network."""
    return write_state(tmp_path_factory.mktemp("weights") / FILE, random_state(0.1))


@pytest.fixture(scope="module")
def sha256(weights: Path) -> str:
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def publish(monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    """Make this the known digest."""
    models = {**PUBLISHED, NAME: replace(PUBLISHED[NAME], sha256=sha256)}
    monkeypatch.setattr("audio_classifier.convert.import_efficientat.PUBLISHED", models)


def verified(bundle: Bundle) -> bool | None:
    (source,) = bundle.manifest.provenance
    return source.verified


def test_command_needs_neither_tensorflow_nor_torch(weights: Path, tmp_path: Path) -> None:
    arguments = ["bundle", "import-efficientat", NAME, str(tmp_path / "out"), "--from", str(weights)]
    code = f"""
import sys
for name in ("h5py", "tensorflow", "torch"):
    sys.modules[name] = None  # importing it fails
from audio_classifier.cli.parser import main
raise SystemExit(main({arguments!r}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"{tmp_path / 'out'}: {NAME} 1.0.0, digest ")
    assert f"{FILE} is not verified" in run.stderr
    manifest = Bundle.open(tmp_path / "out").manifest
    assert (manifest.schema_version, manifest.network, manifest.name) == (2, "clip", NAME)
    assert {entry.path for entry in manifest.files} == {"network.tflite", "labels.csv"}


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_bundle_has_the_network_of_the_weights(weights: Path, tmp_path: Path, precision: Any) -> None:
    bundle = import_efficientat(NAME, tmp_path / "out", source=weights, precision=precision)
    assert bundle.manifest.precision == precision
    log_mels = np.random.default_rng(1).standard_normal((2, 30, 128), np.float32)
    expected = forward(random_state(0.1), network(0.1), log_mels)
    actual = run_network(bundle.path("network.tflite").read_bytes(), log_mels)
    tolerance = 1e-4 if precision == "float32" else 1e-2
    assert np.abs(actual - expected).max() < tolerance * np.ptp(expected)


def test_weights_without_a_known_digest_are_recorded_as_unverified(weights: Path, tmp_path: Path) -> None:
    bundle = import_efficientat(NAME, tmp_path / "out", source=weights)
    (source,) = bundle.manifest.provenance
    assert (source.name, source.origin, source.verified) == (FILE, str(weights), None)
    assert source.sha512 == hashlib.sha512(weights.read_bytes()).hexdigest()
    assert "not verified" in bundle.manifest.description
    assert "unknown" in bundle.manifest.licence
    assert bundle.manifest.metrics == {}


def test_weights_with_the_known_digest_are_recorded_as_published(
    weights: Path, sha256: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, sha256)
    bundle = import_efficientat(NAME, tmp_path / "out", source=weights)
    assert verified(bundle) is True
    assert bundle.manifest.licence.startswith("MIT")
    assert bundle.manifest.metrics == {"AudioSet evaluation": {"mAP": 0.298}}


def test_weights_with_the_given_digest_are_recorded_as_verified(
    weights: Path, sha256: str, tmp_path: Path
) -> None:
    assert verified(import_efficientat(NAME, tmp_path / "a", source=weights, sha256=sha256.upper())) is True


def test_given_digest_of_other_weights_is_recorded(
    weights: Path, sha256: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "0" * 64)
    bundle = import_efficientat(NAME, tmp_path / "out", source=weights, sha256=sha256)
    assert verified(bundle) is False
    assert "other than the published" in bundle.manifest.description
    assert "unknown" in bundle.manifest.licence


def test_weights_with_another_digest_are_refused(
    weights: Path, sha256: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"{FILE} must have the SHA-256 {'0' * 64}, got {sha256}"
    with pytest.raises(ArtifactUnverifiedError, match=message):
        import_efficientat(NAME, tmp_path / "out", source=weights, sha256="0" * 64)
    publish(monkeypatch, "0" * 64)
    with pytest.raises(ArtifactUnverifiedError, match=message) as caught:
        import_efficientat(NAME, tmp_path / "out", source=weights)
    assert "their SHA-256" in describe(caught.value)["hint"]
    assert list(tmp_path.iterdir()) == []


def test_weights_are_downloaded_from_the_release_by_default(
    https_server: FileServer, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_classifier.convert.efficientat_models.RELEASE", f"{https_server.url}/")
    (https_server.folder / FILE).write_bytes(weights.read_bytes())
    progress: list[tuple[str, int]] = []
    bundle = import_efficientat(
        NAME, tmp_path / "out", progress=lambda name, count, size: progress.append((name, count))
    )
    assert {name for name, _ in progress} == {FILE}
    assert sum(count for _, count in progress) == weights.stat().st_size
    assert bundle.manifest.provenance[0].origin == f"{https_server.url}/{FILE}"
    assert verified(bundle) is None
    assert bundle.manifest.licence.startswith("MIT")


def test_urls_are_those_of_the_release() -> None:
    assert [model.url for model in PUBLISHED.values()] == [
        f"https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/{name}_as_mAP_{points}.pt"
        for name, points in zip(PUBLISHED, (298, 378, 432, 443, 471, 478, 482, 484), strict=True)
    ]


def test_secrets_of_a_url_are_not_recorded(https_server: FileServer, weights: Path, tmp_path: Path) -> None:
    (https_server.folder / "w.pt").write_bytes(weights.read_bytes())
    bundle = import_efficientat(NAME, tmp_path / "out", source=f"{https_server.url}/w.pt?signature=0123")
    assert bundle.manifest.provenance[0].origin == f"{https_server.url}/w.pt"


def test_slow_server_is_given_up_at_the_deadline(https_server: FileServer, tmp_path: Path) -> None:
    https_server.drip["/w.pt"] = "body"
    with pytest.raises(TransferError, match=r"took longer than 0\.5 s"):
        import_efficientat(NAME, tmp_path / "out", source=f"{https_server.url}/w.pt", deadline_s=0.5)
    assert not (tmp_path / "out").exists()


def test_file_longer_than_the_networks_is_refused(https_server: FileServer, tmp_path: Path) -> None:
    (https_server.folder / "w.pt").write_bytes(bytes(2_000_000))
    with pytest.raises(RemoteTooLongError, match="must have at most"):
        import_efficientat(NAME, tmp_path / "out", source=f"{https_server.url}/w.pt")
    with pytest.raises(ArtifactFormatError, match=r"w\.pt must have at most .* bytes, got 2000000") as caught:
        import_efficientat(NAME, tmp_path / "out", source=https_server.folder / "w.pt")
    assert NAME in caught.value.hint


def test_weights_of_another_network_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactFormatError, match=rf"{FILE}: .* must have the shape \(16,") as caught:
        import_efficientat("mn10", tmp_path / "out", source=weights)
    assert caught.value.hint == "Check that it is the file of mn10."
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "options", "error", "match"),
    [
        ("mn99", {}, InvalidParameterError, "must be one of mn01, .*, mn40, got 'mn99'"),
        (NAME, {"precision": "int8"}, InvalidParameterError, "must be float32 or float16, got 'int8'"),
        (NAME, {"sha256": "12"}, InvalidParameterError, "must be 64 hexadecimal digits, got '12'"),
        (NAME, {"source": "ftp://a/b.pt"}, InvalidParameterError, "must be an https:// or s3:// URI"),
        (NAME, {"source": "missing.pt"}, ArtifactNotFoundError, "missing.pt is not a file"),
        (NAME, {"source": "/dev/zero"}, ArtifactNotFoundError, "/dev/zero is not a file"),
    ],
)
def test_invalid_argument_is_refused(
    tmp_path: Path, name: str, options: Any, error: type[AudioClassifierError], match: str
) -> None:
    with pytest.raises(error, match=match):
        import_efficientat(name, tmp_path / "out", **options)


def test_existing_directory_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalidError, match="already exists"):
        import_efficientat(NAME, tmp_path, source="missing.pt")


def test_command_names_the_option_of_an_invalid_argument(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bundle", "import-efficientat", NAME, str(tmp_path / "out")]
    assert main([*command, "--sha256", "12"]) == 2
    assert "--sha256: must be 64 hexadecimal digits" in capsys.readouterr().err
    assert main([*command, "--from", "http://localhost/w.pt"]) == 2
    assert "--from: must be an https:// or s3:// URI" in capsys.readouterr().err
    assert main([*command, "--from", str(tmp_path / "missing.pt")]) == 2
    assert "missing.pt is not a file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["bundle", "import-efficientat", "mn99", str(tmp_path / "out")])
    assert "argument NAME: invalid choice: 'mn99' (choose from" in capsys.readouterr().err


def test_published_weights_are_verified(golden_data: Path, tmp_path: Path) -> None:
    path = golden_data / "models" / "efficientat-mn04" / PUBLISHED["mn04"].file
    if not path.is_file():
        pytest.skip("the published weights are not available on this machine")
    manifest = import_efficientat("mn04", tmp_path / "out", source=path).manifest
    assert manifest.provenance[0].verified is True
    assert manifest.metrics == {"AudioSet evaluation": {"mAP": 0.432}}
