"""Measure bundles on ESC-10, whose labels are by people; the pool of clips leaves it out.

Karol J. Piczak, *ESC: Dataset for Environmental Sound Classification*, ACM Multimedia 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audio_classifier import AudioClassifier
from audio_classifier.evaluation.evaluate import evaluate
from audio_classifier.evaluation.measure import EventOptions
from audio_classifier.evaluation.recordings import read_recordings
from audio_classifier.evaluation.report import Evaluation, introduction, overall_table, table
from audio_classifier.evaluation.summary import RESAMPLES
from audio_classifier.evaluation.targets import read_mapping

# The classes of AudioSet that count as right for each folder of ESC-10.
MAPPING: Final = Path(__file__).with_name("esc10.csv")
CLASS_MEASURES: Final = ("closed_top1", "open_top5")


def section(folder: Path, classifiers: Sequence[AudioClassifier], *, resamples: int = RESAMPLES) -> str:
    """Evaluate bundles on a copy of ESC-10, and write the section of the report in Markdown."""
    evaluation = evaluate(
        classifiers,
        read_recordings(folder),
        source="ESC-10",
        mapping=read_mapping(MAPPING),
        events=EventOptions(),
        resamples=resamples,
    )
    return "\n\n".join(
        [
            "## Real labels: ESC-10",
            "ESC-10 has 400 clips of up to five seconds, 40 for each of ten labels by people; "
            f"{evaluation.recordings} of them were measured. `compact` 0.3.0 has learned from these clips, "
            "although without their labels, so its figures are too favourable; 0.4.0 has not. "
            "`training/evaluation/esc10.csv` lists the classes of AudioSet that count as right for each "
            "label. The figures can be repeated with a copy of <https://github.com/karoldvl/ESC-10>:",
            "```\naudio-classifier evaluate ESC-10 --map training/evaluation/esc10.csv --bundle compact\n```",
            introduction(evaluation),
            overall_table(evaluation),
            "By label, the share of clips for which the label is the first of the ten, and for which a right "
            "class is among the top five of all classes:",
            _class_table(evaluation),
        ]
    )


def _class_table(evaluation: Evaluation) -> str:
    header = [f"{name}, {which}" for name in evaluation.names for which in ("first of ten", "top five")]
    rows = [
        (
            first.target.label,
            str(first.recordings),
            *(
                f"{model.classes[index].measures[name].value:.3f}"
                for model in evaluation.models
                for name in CLASS_MEASURES
            ),
        )
        for index, first in enumerate(evaluation.models[0].classes)
    ]
    return table(("label", "clips", *header), rows)
