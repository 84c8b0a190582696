"""The section of the report on labels by people."""

from __future__ import annotations

import shutil
from pathlib import Path

from audio_classifier import AudioClassifier
from audio_classifier.evaluation.targets import TargetColumns, read_mapping
from training.evaluation.real_labels import MAPPING, section


def test_mapping_names_ten_labels_with_known_classes(classifier: AudioClassifier) -> None:
    targets = [*read_mapping(MAPPING).values()]
    assert [target.label[:3] for target in targets] == [f"{number:03}" for number in range(1, 11)]
    assert len(TargetColumns(targets, classifier.labels).classes) == 10


def test_section_lists_labels_and_measures(classifier: AudioClassifier, assets: Path, tmp_path: Path) -> None:
    for folder, name in (("002 - Rain", "rain"), ("005 - Clock tick", "clock")):
        (tmp_path / folder).mkdir()
        shutil.copy(assets / f"{name}.wav", tmp_path / folder)
    text = section(tmp_path, [classifier], resamples=0)
    assert "| 005 - Clock tick | 1 | " in text
    assert "| right class among the top five classes | " in text
    assert "2 recordings, 2 labels." in text
