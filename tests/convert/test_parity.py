"""Compare results with those of IBM's own code, from the same random weights and recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_classifier.convert.import_max import import_max
from audio_classifier.convert.litert_export import Precision
from audio_classifier.model.bundle import Bundle
from benchmarks.parity import Differences, compare, load_golden, write_artifacts

pytestmark = [
    pytest.mark.convert,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def artifacts(golden_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    write_artifacts(golden_data / "parity", folder)
    return folder


@pytest.fixture(scope="module")
def float32(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return import_bundle(artifacts, tmp_path_factory.mktemp("bundle") / "max", "float32")


def import_bundle(artifacts: Path, out_dir: Path, precision: Precision) -> Bundle:
    return import_max(out_dir, [str(artifacts)], precision=precision, allow_unverified=True)


def test_reference_path_equals_the_original(float32: Bundle, golden_data: Path) -> None:
    differences = compare(float32, "resampy", load_golden(golden_data / "parity"), golden_data / "samples")
    assert differences.patches <= 1e-4
    assert differences.embeddings <= 1e-3
    assert differences.codes_equal >= 0.999
    assert differences.codes_within_1 == 1
    assert differences.middle_codes_within_1 == 1
    assert differences.probabilities.keys() == {"0", "3"}
    assert max(differences.probabilities.values()) <= 2e-3


def test_default_path_is_close_to_the_original(float32: Bundle, golden_data: Path) -> None:
    differences = compare(float32, "soxr", load_golden(golden_data / "parity"), golden_data / "samples")
    assert differences.codes_within_2 >= 0.95
    assert differences.middle_codes_within_2 >= 0.95


def test_float16_is_close_to_the_original(artifacts: Path, golden_data: Path, tmp_path: Path) -> None:
    differences: Differences = compare(
        import_bundle(artifacts, tmp_path / "max", "float16"),
        "soxr",
        load_golden(golden_data / "parity"),
        golden_data / "samples",
    )
    assert max(differences.probabilities.values()) <= 0.02
