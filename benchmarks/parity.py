"""Compare every stage of the pipeline with IBM's own code, on the same random weights and recordings.

``python -m benchmarks.parity FOLDER`` writes the table in docs/deviations.md.  FOLDER contains ``parity/`` (a
script that writes random weights in the published formats, and the results of IBM's code with these weights)
and ``samples/`` (the recordings).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.audio.reader import AudioReader, Resampler, read_window
from audio_classifier.constants import CLIP_PATCHES, PATCH_S
from audio_classifier.convert.import_max import import_max
from audio_classifier.convert.litert_export import Precision
from audio_classifier.cpus import available_cpus
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.embedding import Embedder
from audio_classifier.model.manifest import EMBEDDING, POSTPROCESS
from audio_classifier.model.postprocess import Postprocessor
from benchmarks.documents import replace_block, table

PATHS: Final[tuple[tuple[str, Resampler, Precision], ...]] = (
    ("reference", "resampy", "float32"),
    ("default", "soxr", "float32"),
    ("default, float16", "soxr", "float16"),
    ("default, int8", "soxr", "int8"),
)
MIDDLE_PATCH: Final = 4  # first patch of the window that is read from within the file
DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "deviations.md"


@dataclass(frozen=True, slots=True)
class Differences:
    """The largest differences over all recordings.

    Attributes
    ----------
    patches
        Absolute difference of log-mel values.
    embeddings
        Difference of embeddings as a fraction of their range.
    codes_equal, codes_within_1, codes_within_2
        Fractions of the 8-bit codes that are equal, or differ by at most 1 or 2.
    middle_codes_within_1, middle_codes_within_2
        The same for a window that is read from the middle of the file.
    probabilities
        Absolute difference of class probabilities, by start time.
    """

    patches: float
    embeddings: float
    codes_equal: float
    codes_within_1: float
    codes_within_2: float
    middle_codes_within_1: float
    middle_codes_within_2: float
    probabilities: Mapping[str, float]


def compare(
    bundle: Bundle, resampler: Resampler, golden: Mapping[str, NDArray[Any]], samples: Path
) -> Differences:
    """Run every stage on every recording of the golden data and compare it with the results of IBM's code."""
    classifier = AudioClassifier(bundle, resampler=resampler)
    embedder = Embedder(bundle.path(EMBEDDING), threads=available_cpus())
    postprocessor = Postprocessor.from_arrays(bundle.arrays(POSTPROCESS))
    patch_errors, embedding_errors = [], []
    codes, middle_codes = [], []
    probability_errors: dict[str, float] = {}

    for name in sorted({key.split("/")[0] for key in golden}):
        recording = samples / f"{name}.wav"
        with AudioReader(recording, resampler=resampler) as reader:
            patches = np.concatenate(
                [log_mel_patches(block.samples) for block in reader.blocks(CLIP_PATCHES)]
            )
        embeddings = embedder.embed(patches)
        expected = golden[f"{name}/embeddings"]
        patch_errors.append(np.abs(patches[:2] - golden[f"{name}/patches"]).max())
        embedding_errors.append(np.abs(embeddings - expected).max() / np.ptp(expected))
        codes.append(_code_errors(postprocessor.quantize(embeddings), golden[f"{name}/quantized"]))

        if len(expected) > MIDDLE_PATCH:
            start_s = MIDDLE_PATCH * PATCH_S + 0.1
            window = read_window(recording, start_s=start_s, patches=2, resampler=resampler)
            middle = postprocessor.quantize(embedder.embed(log_mel_patches(window)))
            rows = golden[f"{name}/quantized"][MIDDLE_PATCH : MIDDLE_PATCH + len(middle)]
            middle_codes.append(_code_errors(middle, rows))

        for key in (key for key in golden if key.startswith(f"{name}/probabilities/start=")):
            start = key.split("=")[1]
            probabilities = classifier.probabilities(recording, start_s=float(start))
            error = float(np.abs(probabilities - golden[key]).max())
            probability_errors[start] = max(error, probability_errors.get(start, 0.0))

    errors, middle_errors = np.concatenate(codes), np.concatenate(middle_codes)
    return Differences(
        patches=float(max(patch_errors)),
        embeddings=float(max(embedding_errors)),
        codes_equal=float(np.mean(errors == 0)),
        codes_within_1=float(np.mean(errors <= 1)),
        codes_within_2=float(np.mean(errors <= 2)),
        middle_codes_within_1=float(np.mean(middle_errors <= 1)),
        middle_codes_within_2=float(np.mean(middle_errors <= 2)),
        probabilities=probability_errors,
    )


def write_artifacts(parity: Path, out_dir: Path) -> None:
    """Write the artifacts with random weights from which the golden data were computed."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(
        [sys.executable, parity / "make_reference_bundle.py", out_dir, "--seed", "7"],
        check=True,
        env=environment,
        stderr=subprocess.DEVNULL,
    )


def load_golden(parity: Path) -> dict[str, NDArray[Any]]:
    """Load the results of IBM's code with the artifacts."""
    with np.load(parity / "golden-seed7.npz") as golden:
        return {key: golden[key] for key in golden.files}


def format_table(rows: Mapping[str, Differences]) -> str:
    """Format the table for docs/deviations.md."""
    return table(
        (
            *("path", "log-mel, max abs", "embedding, max of range", "codes equal", "within ±1", "within ±2"),
            *("middle window ±2", "probability, start 0", "start 3"),
        ),
        (
            (
                name,
                f"{row.patches:.1e}",
                f"{row.embeddings:.1e}",
                f"{row.codes_equal:.2%}",
                f"{row.codes_within_1:.2%}",
                f"{row.codes_within_2:.2%}",
                f"{row.middle_codes_within_2:.2%}",
                f"{row.probabilities['0']:.4f}",
                f"{row.probabilities['3']:.4f}",
            )
            for name, row in rows.items()
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    golden = load_golden(folder / "parity")
    rows: dict[str, Differences] = {}
    with tempfile.TemporaryDirectory() as workspace:
        artifacts = Path(workspace, "artifacts")
        write_artifacts(folder / "parity", artifacts)
        bundles: dict[Precision, Bundle] = {}
        for name, resampler, precision in PATHS:
            if precision not in bundles:
                bundles[precision] = import_max(
                    Path(workspace, precision), [str(artifacts)], precision=precision, allow_unverified=True
                )
            rows[name] = compare(bundles[precision], resampler, golden, folder / "samples")
    replace_block(DOCUMENT, "parity", format_table(rows))
    print(format_table(rows))


def _code_errors(actual: NDArray[np.uint8], expected: NDArray[np.uint8]) -> NDArray[np.int16]:
    if actual.shape != expected.shape:
        raise ValueError(f"expected {expected.shape} codes as in the original, got {actual.shape}")
    return np.abs(actual.astype(np.int16) - expected.astype(np.int16)).reshape(-1)


if __name__ == "__main__":
    main()
