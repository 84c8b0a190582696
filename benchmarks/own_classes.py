"""Measure own classes on a copy of ESC-10: ``python -m benchmarks.own_classes ESC-10``.

The copy is a folder for each class, and the names of the files begin with the number of the fold, as those of
ESC-10 and ESC-50 do (Piczak, *ESC: Dataset for Environmental Sound Classification*, ACM Multimedia, 2015).
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import step_log_mel
from audio_classifier.audio.reader import read_window
from audio_classifier.evaluation.report import table
from audio_classifier.hub.bundles import COMPACT, open_bundle
from audio_classifier.inference.decoding import LocalDecoder
from audio_classifier.model.linear_head import pooled
from audio_classifier.model.patch_network import PatchNetwork
from audio_classifier.model.postprocess import dequantize
from audio_classifier.own_classes.examples import Example, ReadSound, read_examples
from audio_classifier.own_classes.fitting import fit_head
from audio_classifier.own_classes.sounds import Sound

DRAWS: Final = 10
SHOTS: Final = (1, 5, 10)
STARTS: Final = 5
REACHED: Final = 0.5  # the probability from which a class counts
RESPONSE_BANDS: Final = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_classes", description=__doc__)
    parser.add_argument("sounds", type=Path, help="the copy of ESC-10")
    parser.add_argument("--base", default=COMPACT, help="the bundle to learn on (compact)")
    arguments = parser.parse_args()
    print(report(arguments.sounds, arguments.base))


def report(sounds: Path, base: str) -> str:
    """Measure everything, and return the tables in Markdown."""
    examples = read(sounds, base)
    names = np.unique([label for one in examples for label in one.labels])
    present = np.array([[name in one.labels for name in names] for one in examples])
    features = np.stack([one.features for one in examples])
    folds = np.array([Path(one.sound.path).name[0] for one in examples])
    rows = fold_rows(features, present, folds)
    for shots in SHOTS:
        values = [few_shot(features, present, shots, draw) for draw in range(DRAWS)]
        text = f"{np.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"
        rows.append((f"{shots} examples per class, {DRAWS} draws", text))
    tables = [
        table(("accuracy on ESC-10", base), rows),
        table(
            ("three of the ten classes", "recall", "false alarms"), negative_rows(features, present, folds)
        ),
        table(("microphones", "same", "exchanged"), microphone_rows(sounds, base, present, folds)),
        table(("costs", base), costs(sounds, base)),
    ]
    return "\n\n".join(tables)


def read(sounds: Path, base: str) -> list[Example]:
    """Return the examples of all recordings, one for each."""
    found = [Sound(str(path), frozenset({path.parent.name})) for path in paths(sounds)]
    threads = os.cpu_count() or 1
    network = PatchNetwork(open_bundle(base), threads)
    read_sounds = read_examples(found, network, LocalDecoder(), threads=threads)
    return [example for one in read_sounds if isinstance(one, ReadSound) for example in one.examples]


def paths(sounds: Path) -> list[Path]:
    """Return the recordings in the folders of the classes."""
    return sorted(path for path in sounds.glob("*/*") if path.name[0].isdigit())


def fold_rows(
    features: NDArray[np.float32], present: NDArray[np.bool_], folds: NDArray[np.str_]
) -> list[tuple[str, str]]:
    """Return the accuracy of each fold, predicted by a head that has learned from the others, and of all."""
    right = np.empty(len(features), np.bool_)
    rows = []
    for fold in np.unique(folds):
        tested = folds == fold
        right[tested] = hits(features, present, ~tested)[tested]
        rows.append((f"fold {fold}", f"{right[tested].mean():.3f}"))
    return [*rows, ("all folds", f"{right.mean():.4f} ({right.sum()} of {len(right)})")]


def few_shot(features: NDArray[np.float32], present: NDArray[np.bool_], shots: int, draw: int) -> float:
    """Learn from a few random examples of each class, and return the accuracy on all others."""
    rng = np.random.default_rng(draw)
    trained = np.zeros(len(features), np.bool_)
    for column in present.T:
        trained[rng.choice(np.flatnonzero(column), shots, replace=False)] = True
    return float(hits(features, present, trained)[~trained].mean())


def hits(
    features: NDArray[np.float32], present: NDArray[np.bool_], trained: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return whether the most probable class of each example is right."""
    head = fit_head(features[trained], present[trained])
    return np.asarray(head.from_features(features).argmax(axis=1) == present.argmax(axis=1))


def negative_rows(
    features: NDArray[np.float32], present: NDArray[np.bool_], folds: NDArray[np.str_]
) -> list[tuple[str, ...]]:
    """Learn three classes, with and without negatives of four others, and predict the other three.

    Recall is that of the three classes in the last fold, false alarms are the share of the last three classes
    in which one of them has at least 0.5; means over ten choices of classes.
    """
    tested = folds == max(folds)
    values: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for first in range(present.shape[1]):
        classes = np.roll(np.arange(present.shape[1]), -first)
        own, others, unseen = present[:, classes[:3]], present[:, classes[3:7]], present[:, classes[7:]]
        for with_negatives, found in values.items():
            trained = ~tested & (own.any(axis=1) | (others.any(axis=1) & with_negatives))
            reached = fit_head(features[trained], own[trained]).from_features(features) >= REACHED
            recall = reached[tested & own.any(axis=1)][own[tested & own.any(axis=1)]].mean()
            found.append((float(recall), float(reached[unseen.any(axis=1)].any(axis=1).mean())))
    return [
        (name, *(f"{mean:.3f}" for mean in np.mean(values[with_negatives], axis=0)))
        for name, with_negatives in (("without negatives", False), ("with negatives of four others", True))
    ]


def microphone_rows(
    sounds: Path, base: str, present: NDArray[np.bool_], folds: NDArray[np.str_]
) -> list[tuple[str, ...]]:
    """Learn with one simulated microphone for each class, and with all microphones for all classes.

    The first figure is the accuracy in the last fold with the microphones of the training, the second one
    with those of other classes.
    """
    network = PatchNetwork(open_bundle(base), os.cpu_count() or 1)
    own = present.argmax(axis=1)
    count = present.shape[1]
    random = np.random.default_rng(0).integers(count, size=len(own))
    recorded = {
        name: record(sounds, network, microphones)
        for name, microphones in (("own", own), ("random", random), ("other", (own + 1) % count))
    }
    tested = folds == max(folds)
    rows = []
    for title, name in (("one for each class", "own"), ("all for all classes", "random")):
        head = fit_head(recorded[name][~tested], present[~tested])
        scores = [head.from_features(recorded[test][tested]) for test in (name, "other")]
        accuracies = [(one.argmax(axis=1) == own[tested]).mean() for one in scores]
        rows.append((title, *(f"{accuracy:.3f}" for accuracy in accuracies)))
    return rows


def record(sounds: Path, network: PatchNetwork, microphones: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the features of all recordings, ``(recordings, 256)``, through a microphone for each."""
    features = []
    for path, microphone in zip(paths(sounds), microphones.tolist(), strict=True):
        samples = simulate(np.asarray(read_window(str(path)), np.float64), microphone)
        features.append(pooled(dequantize(network.encode(step_log_mel(samples)))))
    return np.stack(features)


def simulate(samples: NDArray[np.float64], microphone: int) -> NDArray[np.float32]:
    """Apply a random frequency response of some 6 dB, and add noise at -60 to -40 dB."""
    rng = np.random.default_rng(microphone)
    spectrum = np.fft.rfft(samples)
    bands = np.linspace(0, 1, RESPONSE_BANDS)
    response_db = np.interp(np.linspace(0, 1, len(spectrum)) ** 0.5, bands, rng.normal(0, 6, RESPONSE_BANDS))
    filtered = np.fft.irfft(spectrum * 10 ** (response_db / 20), len(samples))
    noise = rng.standard_normal(len(samples)) * 10 ** (rng.uniform(-60, -40) / 20)
    return np.asarray(filtered + noise, np.float32)


def costs(sounds: Path, base: str) -> list[tuple[str, str]]:
    """Measure the command from start to end, the bundle, and processes that classify one recording."""
    with tempfile.TemporaryDirectory() as folder:
        labels, own = Path(folder) / "labels.csv", Path(folder) / "own"
        with labels.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("path", "label", "group"))
            rows.writerows((path.resolve(), path.parent.name, path.name[0]) for path in paths(sounds))
        seconds = run("train", str(labels), "--base", base, "--output", str(own))
        size_mb = sum(path.stat().st_size for path in own.iterdir()) / 1e6
        head_kb = (own / "linear_head.npz").stat().st_size / 1e3
        clip = str(paths(sounds)[0])
        starts = {
            name: min(run("classify", clip, "--bundle", name) for _ in range(STARTS))
            for name in (base, str(own))
        }
    return [
        (
            f"`train` on {len(paths(sounds))} clips, with the report, {os.cpu_count()} CPUs",
            f"{seconds:.1f} s",
        ),
        ("size of the bundle", f"{size_mb:.1f} MB, of which the head has {head_kb:.0f} KB"),
        ("process that classifies one clip, with the base", f"{starts[base]:.2f} s"),
        ("the same, with the trained bundle", f"{starts[str(own)]:.2f} s"),
    ]


def run(*arguments: str) -> float:
    """Run a command of the command line in a new process, and return its time in seconds."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "audio_classifier", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
