"""Student, head, calibration, export and bundle, on tones and noise that a tiny network learns in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.constants import CLASSES, CLIP_PATCHES, EMBEDDING_SIZE
from audio_classifier.model.attention import AttentionHead, Dense
from audio_classifier.model.embedding import Embedder
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.manifest import EMBEDDING
from audio_classifier.model.postprocess import dequantize
from tests.training.material import NOISE, TONE, UNKNOWN, FakeClipTeacher, FakeTeacher, make_layers, make_pool
from training.teacher.label import CLIPS, MIXED, NATURAL, SHARDS, label_augmented, label_natural
from training.teacher.yamnet import UNKNOWN_CLASSES, known_classes, teacher_classes

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.training, pytest.mark.timeout(900)]

from training.student import assemble, calibrate, export, train_embedding, train_head  # noqa: E402
from training.student.codes import fit_pca, layer_for_codes  # noqa: E402
from training.student.head import Head  # noqa: E402
from training.student.network import Student, Trunk  # noqa: E402
from training.student.schedule import learning_rate_factor, update_mean  # noqa: E402


class LayeredTeacher(FakeTeacher):
    """A teacher whose embedding is computed by `make_layers`."""

    def __init__(self) -> None:
        self._trunk = Trunk.from_teacher(make_layers())

    def embed(self, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(self._trunk(torch.from_numpy(log_mels)).mean((2, 3)))


TEACHER: Any = LayeredTeacher()
CLIP_TEACHER: Any = FakeClipTeacher()
CHANNELS = (8, 8, 16, 16, 16, 16, 32, 32, 32, 32, 32, 32, 64, 64)
MINUTES = 0.3
EMBEDDING_CALL_S = 0.04  # about 150 steps
HEAD_CALL_S = 0.3  # 60 steps


@pytest.fixture
def student() -> Student:
    """An untrained student whose random weights and biases make errors of the export visible."""
    torch.manual_seed(0)
    student: Student = Student(Trunk(CHANNELS)).eval()
    for name, values in student.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.uniform_(values, -0.5, 0.5)
        else:
            torch.nn.init.kaiming_normal_(values, nonlinearity="relu")
    student.trunk.begin_rounding(torch.from_numpy(make_patches(0)))
    return student


def make_patches(seed: int) -> Any:
    """Make random log-mels, ``(7, 96, 64)``."""
    return np.random.default_rng(seed).uniform(-4.6, 3, (7, 96, 64)).astype(np.float32)


class CallCounter:
    """A clock that advances at each call: the number of training steps does not depend on the machine."""

    def __init__(self, call_s: float) -> None:
        self._call_s = call_s
        self._seconds = 0.0

    def monotonic(self) -> float:
        self._seconds += self._call_s
        return self._seconds


@pytest.fixture(scope="module", autouse=True)
def clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_embedding, "time", CallCounter(EMBEDDING_CALL_S))
        patch.setattr(train_head, "time", CallCounter(HEAD_CALL_S))
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, clock: None) -> Path:  # trains by that clock
    """A work directory in which all stages have run."""
    work = tmp_path_factory.mktemp("work")
    pool = make_pool(work / CLIPS, clips=120)
    natural = label_natural(pool, TEACHER, work / SHARDS / NATURAL, lambda done, of: None, CLIP_TEACHER)
    label_augmented(
        pool,
        natural,
        TEACHER,
        work / SHARDS / f"{MIXED}-1",
        kind=MIXED,
        seed=1,
        capacity=300,
        until=lambda: False,
        progress=lambda done, of: None,
        clip_teacher=CLIP_TEACHER,
    )
    train_embedding.train(work, pool.clips, make_layers(), minutes=MINUTES)
    trained = train_embedding.load_student(work / train_embedding.CHECKPOINT)
    (work / EMBEDDING).write_bytes(export.export_embedding(trained))
    postprocessor, head, _ = train_head.train(work, pool.clips, work / EMBEDDING, trained, minutes=MINUTES)
    train_head.save(work, postprocessor, head)
    (work / "yamnet.tflite").write_bytes(b"the teacher")
    assemble.write(
        work / "bundle",
        work,
        pool.clips,
        teacher_path=work / "yamnet.tflite",
        version="1.0.0",
        metrics={"sounds": 3},
    )
    return work


def test_exported_network_computes_the_students_embeddings(student: Student, tmp_path: Path) -> None:
    path = tmp_path / EMBEDDING
    path.write_bytes(export.export_embedding(student))
    patches = make_patches(1)
    with torch.inference_mode():
        expected = student.embed(student.pool(torch.from_numpy(patches))).numpy()
    error = np.linalg.norm(Embedder(path, threads=1).embed(patches) - expected)
    assert error < 0.1 * np.linalg.norm(expected)


def test_exported_convolutions_compute_in_8_bits(student: Student) -> None:
    interpreter = Interpreter(model_content=export.export_embedding(student))
    types = {detail["index"]: detail["dtype"] for detail in interpreter.get_tensor_details()}
    convolutions = [
        operation for operation in interpreter._get_ops_details() if "CONV_2D" in operation["op_name"]
    ]
    assert len(convolutions) == len(student.trunk.layers)
    for operation in convolutions:
        assert {types[index] for index in (*operation["inputs"][:2], *operation["outputs"])} == {np.int8}


def test_export_is_refused_when_it_differs_from_the_student(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LOG_OFFSET", 5.0)
    with pytest.raises(export.ExportError, match="the export must match PyTorch"):
        export.export_embedding(student)


def test_head_for_inference_computes_the_trained_head() -> None:
    head, codes = Head(make_classes()).eval(), torch.randn(4, CLIP_PATCHES, EMBEDDING_SIZE)
    for values in head.parameters():
        values.data += 0.05 * torch.randn_like(values)
    with torch.inference_mode():
        expected = torch.sigmoid(head(codes)).numpy()
    actual = AttentionHead.from_arrays(head.for_inference(known_classes()).arrays())(codes.numpy())
    known = known_classes()
    np.testing.assert_allclose(actual[:, known], expected[:, known], atol=1e-5)
    unknown = [LabelSet.read(assets_labels()).find(name).index for name in UNKNOWN_CLASSES]
    assert (actual[:, unknown] < 1e-5).all()


def test_untrained_head_computes_the_students_logits() -> None:
    """For equal patches, logits near zero are close to the student's, and all logits correlate with them."""
    rng = np.random.default_rng(0)
    classes = make_classes()
    codes = np.repeat(rng.normal(0, 0.3, (5, 1, EMBEDDING_SIZE)), CLIP_PATCHES, axis=1).astype(np.float32)
    expected = codes[:, 0] @ classes.kernel + classes.bias
    with torch.inference_mode():
        actual = Head(classes).eval()(torch.from_numpy(codes)).numpy()
    near_zero = np.abs(expected) < 2
    assert near_zero.sum() > 100
    np.testing.assert_allclose(actual[near_zero], expected[near_zero], atol=0.3)
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.98


def test_layer_for_codes_is_equivalent_to_the_layer_for_embeddings() -> None:
    rng = np.random.default_rng(0)
    embeddings = np.abs(rng.normal(size=(2000, EMBEDDING_SIZE)) @ rng.normal(size=(EMBEDDING_SIZE,) * 2))
    postprocessor = fit_pca(embeddings.astype(np.float32))
    codes = postprocessor.quantize(embeddings.astype(np.float32))
    assert np.mean((codes == 0) | (codes == 255)) < 1e-3
    classes = make_classes()
    coded = layer_for_codes(classes, postprocessor)
    expected = embeddings @ classes.kernel + classes.bias
    actual = dequantize(codes) @ coded.kernel + coded.bias
    assert np.abs(actual - expected).mean() < 0.02 * expected.std()
    assert abs((actual - expected).mean()) < 1e-3 * expected.std()


def make_classes() -> Dense:
    """Make a student's classes for codes."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, 0.5, (EMBEDDING_SIZE, CLASSES)).astype(np.float32)
    return Dense(kernel, rng.uniform(-4, 0, CLASSES).astype(np.float32))


def assets_labels() -> Path:
    from audio_classifier.assets import audioset_labels_path

    return audioset_labels_path()


def test_calibration_finds_scale_and_offsets() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (4000, 3))
    targets = 1 / (1 + np.exp(-true))
    offsets = np.array([1.0, 0.0, -1.0])
    scale, found = calibrate.fit(((true - offsets) / 0.5).astype(np.float32), targets.astype(np.float32))
    assert scale == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(found, offsets, atol=0.05)


def test_calibration_offsets_are_small_when_there_is_little_data() -> None:
    _, offsets = calibrate.fit(np.zeros((1, 2), np.float32), np.array([[0.9, 0.5]], np.float32))
    assert 0 < offsets[0] < 0.3
    assert offsets[1] == pytest.approx(0, abs=1e-3)


def test_calibration_is_folded_into_the_last_layer() -> None:
    head = Head(make_classes()).for_inference(known_classes())
    classes = known_classes()
    offsets = np.linspace(-1, 1, len(classes), dtype=np.float32)
    codes = np.random.default_rng(0).normal(size=(2, CLIP_PATCHES, EMBEDDING_SIZE)).astype(np.float32)
    before, after = (
        np.log(p / (1 - p))[:, classes]
        for p in (head(codes), calibrate.calibrated(head, 0.7, offsets, classes)(codes))
    )
    np.testing.assert_allclose(after, 0.7 * before + offsets, atol=1e-3)


def test_learning_rate_warms_up_stays_constant_and_decays() -> None:
    assert learning_rate_factor(0.0, 0, 0.3) < 0.01
    assert learning_rate_factor(0.0, 100, 0.3) == pytest.approx(0.5, abs=0.01)
    assert learning_rate_factor(0.3, 1000, 0.3) == learning_rate_factor(0.69, 9000, 0.3) == 1
    assert learning_rate_factor(0.85, 9000, 0.3) == pytest.approx(0.5)
    assert learning_rate_factor(0.9999, 9000, 0.3) == pytest.approx(0.01)


def test_warm_up_ends_after_a_twentieth_of_the_time() -> None:
    assert learning_rate_factor(0.05, 3, 0.3) == 1


def test_running_mean_covers_the_last_tenth_of_steps_up_to_the_horizon() -> None:
    mean, module = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    module.weight.data.fill_(3)
    module.running_mean.fill_(5)
    update_mean(mean, module, step=10, horizon_steps=1000)
    assert (mean.weight.item(), mean.running_mean.item()) == (2, 2.5)
    update_mean(mean, module, step=10**6, horizon_steps=4)
    assert mean.weight.item() == 2.25


def test_training_continues_from_its_checkpoint(work: Path) -> None:
    checkpoint = work / train_embedding.CHECKPOINT
    before = train_embedding.State.load(checkpoint)
    assert before.elapsed_s == pytest.approx(60 * MINUTES, abs=5)
    clips = make_pool(work / "again", clips=120).clips
    train_embedding.train(work, clips, [], minutes=MINUTES + 0.05)
    after = train_embedding.State.load(checkpoint)
    assert after.student.trunk.channels == before.student.trunk.channels
    assert after.step > before.step
    assert after.elapsed_s == pytest.approx(60 * (MINUTES + 0.05), abs=5)


def test_trained_bundle_distinguishes_tones_from_noise(work: Path) -> None:
    seconds = np.arange(160_000) / 16_000
    signals = {
        TONE: 0.4 * np.sin(2 * np.pi * 700 * seconds),
        NOISE: 0.1 * np.random.default_rng(5).normal(size=len(seconds)),
    }
    classifier = AudioClassifier.open(work / "bundle")
    for index, signal in signals.items():
        path = work / f"{index}.wav"
        write_wav(path, signal)
        label, unknown = teacher_classes()[index], classifier.labels[UNKNOWN].name
        first, second = classifier.predict(path, top_k=2, exclude=[unknown])
        assert first.label == label
        assert first.probability > 2 * second.probability
        (of_unknown,) = classifier.predict(path, labels=[unknown])
        assert of_unknown.probability == pytest.approx(first.probability if index == TONE else 0, abs=0.2)


def write_wav(path: Path, signal: Any) -> None:
    import soundfile

    soundfile.write(path, signal, 16_000)


def test_manifest_contains_metrics_description_and_provenance(work: Path) -> None:
    manifest = AudioClassifier.open(work / "bundle").bundle.manifest
    assert manifest.metrics == {"sounds": 3}
    assert "published models of `audio-classifier bundle list` are more accurate" in manifest.description
    assert "6 classes are never predicted" in manifest.description  # the bundle states no clip teacher
    assert [source.name for source in manifest.provenance[1:]] == [
        f"audio from source-{index}, not included in the bundle" for index in range(3)
    ]
    assert all("CC0" in source.origin for source in manifest.provenance[1:])
