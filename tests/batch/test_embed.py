from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from audio_classifier.batch.embed import Embedded, embed_inputs
from audio_classifier.batch.inputs import find_inputs
from audio_classifier.batch.run import Failed
from audio_classifier.errors import NoEmbeddingError, NoInputError, UnreadableAudioError
from audio_classifier.s3.client import s3_client
from tests.support.sounds import busy, encode


def test_outcomes_come_in_the_order_of_the_inputs(classifier: AudioClassifier, tmp_path: Path) -> None:
    for number, duration_s in enumerate((20, 1, 6, 1)):
        content = encode(busy(duration_s, 16_000, seed=number), 16_000)
        (tmp_path / f"{number}.wav").write_bytes(content)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "empty").mkdir()
    names = [str(tmp_path), str(tmp_path / "empty")]
    outcomes = [*embed_inputs(classifier, find_inputs(names, s3_client), threads=2)]
    *embedded, broken, empty = outcomes
    assert [Path(outcome.name).name for outcome in outcomes] == [
        *(f"{number}.wav" for number in range(4)),
        "broken.wav",
        "empty",
    ]
    for outcome in embedded:
        assert isinstance(outcome, Embedded)
        np.testing.assert_array_equal(outcome.embeddings.codes, classifier.embed(outcome.name).codes)
    assert isinstance(broken, Failed)
    assert isinstance(broken.error, UnreadableAudioError)
    assert isinstance(empty, Failed)
    assert isinstance(empty.error, NoInputError)


def test_whole_objects_are_read(classifier: AudioClassifier, s3: Any) -> None:
    s3.create_bucket(Bucket="recordings")
    content = encode(busy(400, 16_000), 16_000)  # more than the requests that a clip may take
    s3.put_object(Bucket="recordings", Key="a/long.wav", Body=content)
    (outcome,) = embed_inputs(classifier, find_inputs(["s3://recordings/a/"], s3_client), threads=1)
    assert isinstance(outcome, Embedded)
    np.testing.assert_array_equal(outcome.embeddings.codes, classifier.embed(content).codes)


def test_model_without_embeddings_is_refused_before_an_input_is_read(clip_bundle: Path) -> None:
    with pytest.raises(NoEmbeddingError):
        next(embed_inputs(AudioClassifier.open(clip_bundle), find_inputs(["gone"], s3_client), threads=1))
