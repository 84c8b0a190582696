"""Student, head, calibration and export, on sounds that a tiny network learns to tell apart in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.constants import CLIP_PATCHES, EMBEDDING_SIZE
from audio_classifier.model.attention import AttentionHead, Dense
from audio_classifier.model.bundle import EMBEDDING
from audio_classifier.model.embedding import Embedder
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.postprocess import dequantize
from tests.training.material import NOISE, TONE, FakeTeacher, make_layers, make_pool
from training.teacher.label import CLIPS, MIXED, NATURAL, SHARDS, label_augmented, label_natural
from training.teacher.yamnet import TEACHER_CLASSES, UNKNOWN_CLASSES, known_classes, teacher_classes

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from training.student import assemble, calibrate, export, train_embedding, train_head  # noqa: E402
from training.student.codes import fit_pca, of_codes  # noqa: E402
from training.student.head import Head, dense  # noqa: E402
from training.student.network import Student, Trunk  # noqa: E402
from training.student.schedule import follow, rate  # noqa: E402


class LayeredTeacher(FakeTeacher):
    """Its embedding is what `make_layers` give."""

    def __init__(self) -> None:
        self._trunk = Trunk.of_teacher(make_layers())

    def embed(self, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(self._trunk(torch.from_numpy(log_mels)).mean((2, 3)))


TEACHER: Any = LayeredTeacher()
CHANNELS = (8, 8, 16, 16, 16, 16, 32, 32, 32, 32, 32, 32, 64, 64)
MINUTES = 0.3


@pytest.fixture
def student() -> Student:
    """Untrained, but with weights and biases that a wrong export would not survive."""
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
    """Log-mels of noise: ``(7, 96, 64)``."""
    return np.random.default_rng(seed).uniform(-4.6, 3, (7, 96, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work directory with everything trained."""
    work = tmp_path_factory.mktemp("work")
    pool = make_pool(work / CLIPS, clips=120)
    natural = label_natural(pool, TEACHER, work / SHARDS / NATURAL, lambda done, of: None)
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
    )
    train_embedding.train(work, pool.clips, make_layers(), minutes=MINUTES)
    trained = train_embedding.load_student(work / train_embedding.CHECKPOINT)
    (work / EMBEDDING).write_bytes(export.export_embedding(trained))
    classes = dense(trained.classes)
    postprocessor, head, _ = train_head.train(work, pool.clips, work / EMBEDDING, classes, minutes=MINUTES)
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


def test_the_export_computes_what_was_trained(student: Student, tmp_path: Path) -> None:
    path = tmp_path / EMBEDDING
    path.write_bytes(export.export_embedding(student))
    patches = make_patches(1)
    with torch.inference_mode():
        expected = student.embed(student.pool(torch.from_numpy(patches))).numpy()
    error = np.linalg.norm(Embedder(path, threads=1).embed(patches) - expected)
    assert error < 0.1 * np.linalg.norm(expected)


def test_the_export_computes_in_8_bits(student: Student) -> None:
    interpreter = Interpreter(model_content=export.export_embedding(student))
    types = {detail["index"]: detail["dtype"] for detail in interpreter.get_tensor_details()}
    convolutions = [
        operation for operation in interpreter._get_ops_details() if "CONV_2D" in operation["op_name"]
    ]
    assert len(convolutions) == len(student.trunk.layers)
    for operation in convolutions:
        assert {types[index] for index in (*operation["inputs"][:2], *operation["outputs"])} == {np.int8}


def test_an_export_that_computes_something_else_is_refused(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LOG_OFFSET", 5.0)
    with pytest.raises(export.ExportError, match="the export is off by"):
        export.export_embedding(student)


def test_the_product_computes_what_the_head_learned() -> None:
    head, codes = Head(make_classes()).eval(), torch.randn(4, CLIP_PATCHES, EMBEDDING_SIZE)
    for values in head.parameters():
        values.data += 0.05 * torch.randn_like(values)
    with torch.inference_mode():
        expected = torch.sigmoid(head(codes)).numpy()
    actual = AttentionHead.from_arrays(head.for_product().arrays())(codes.numpy())
    known = known_classes()
    np.testing.assert_allclose(actual[:, known], expected[:, known], atol=1e-5)
    unknown = [LabelSet.read(assets_labels()).find(name).index for name in UNKNOWN_CLASSES]
    assert (actual[:, unknown] < 1e-5).all()


def test_the_head_begins_with_what_the_student_says() -> None:
    """Of a sound that lasts, where it says neither yes nor no, exactly; elsewhere, about as much."""
    rng = np.random.default_rng(0)
    classes = make_classes()
    codes = np.repeat(rng.normal(0, 0.3, (5, 1, EMBEDDING_SIZE)), CLIP_PATCHES, axis=1).astype(np.float32)
    said = codes[:, 0] @ classes.kernel + classes.bias
    with torch.inference_mode():
        logits = Head(classes).eval()(torch.from_numpy(codes))[:, known_classes()].numpy()
    between = np.abs(said) < 2
    assert between.sum() > 100
    np.testing.assert_allclose(logits[between], said[between], atol=0.3)
    assert np.corrcoef(logits.ravel(), said.ravel())[0, 1] > 0.98


def test_codes_tell_what_embeddings_do() -> None:
    rng = np.random.default_rng(0)
    embeddings = np.abs(rng.normal(size=(2000, EMBEDDING_SIZE)) @ rng.normal(size=(EMBEDDING_SIZE,) * 2))
    postprocessor = fit_pca(embeddings.astype(np.float32))
    codes = postprocessor.quantize(embeddings.astype(np.float32))
    assert np.mean((codes == 0) | (codes == 255)) < 1e-3
    classes = make_classes()
    coded = of_codes(classes, postprocessor)
    expected = embeddings @ classes.kernel + classes.bias
    actual = dequantize(codes) @ coded.kernel + coded.bias
    assert np.abs(actual - expected).mean() < 0.02 * expected.std()
    assert abs((actual - expected).mean()) < 1e-3 * expected.std()


def make_classes() -> Dense:
    """A student's last layer, for codes."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, 0.5, (EMBEDDING_SIZE, TEACHER_CLASSES)).astype(np.float32)
    return Dense(kernel, rng.uniform(-4, 0, TEACHER_CLASSES).astype(np.float32))


def assets_labels() -> Path:
    from audio_classifier.assets import audioset_labels_path

    return audioset_labels_path()


def test_calibration_finds_what_is_wrong() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (4000, 3))
    targets = 1 / (1 + np.exp(-true))
    offsets = np.array([1.0, 0.0, -1.0])
    scale, found = calibrate.fit(((true - offsets) / 0.5).astype(np.float32), targets.astype(np.float32))
    assert scale == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(found, offsets, atol=0.05)


def test_calibration_believes_few_sounds_little() -> None:
    _, offsets = calibrate.fit(np.zeros((1, 2), np.float32), np.array([[0.9, 0.5]], np.float32))
    assert 0 < offsets[0] < 0.3
    assert offsets[1] == pytest.approx(0, abs=1e-3)


def test_calibration_is_folded_into_the_last_layer() -> None:
    head = Head(make_classes()).for_product()
    classes = known_classes()
    offsets = np.linspace(-1, 1, len(classes), dtype=np.float32)
    codes = np.random.default_rng(0).normal(size=(2, CLIP_PATCHES, EMBEDDING_SIZE)).astype(np.float32)
    before, after = (
        np.log(p / (1 - p))[:, classes]
        for p in (head(codes), calibrate.calibrated(head, 0.7, offsets, classes)(codes))
    )
    np.testing.assert_allclose(after, 0.7 * before + offsets, atol=1e-3)


def test_the_rate_rises_stays_and_falls() -> None:
    assert rate(0.0, 0, 0.3) < 0.01
    assert rate(0.0, 100, 0.3) == pytest.approx(0.5, abs=0.01)
    assert rate(0.3, 1000, 0.3) == rate(0.69, 9000, 0.3) == 1
    assert rate(0.85, 9000, 0.3) == pytest.approx(0.5)
    assert rate(0.9999, 9000, 0.3) == pytest.approx(0.01)


def test_the_rate_has_risen_in_a_twentieth_of_the_time() -> None:
    assert rate(0.05, 3, 0.3) == 1


def test_the_mean_follows_the_weights() -> None:
    mean, module = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    module.weight.data.fill_(3)
    module.running_mean.fill_(5)
    follow(mean, module, step=10, horizon_steps=1000)
    assert (mean.weight.item(), mean.running_mean.item()) == (2, 2.5)
    follow(mean, module, step=10**6, horizon_steps=4)
    assert mean.weight.item() == 2.25


def test_training_goes_on_from_its_checkpoint(work: Path) -> None:
    checkpoint = work / train_embedding.CHECKPOINT
    before = train_embedding.State.load(checkpoint)
    assert before.elapsed_s == pytest.approx(60 * MINUTES, abs=5)
    clips = make_pool(work / "again", clips=120).clips
    train_embedding.train(work, clips, [], minutes=MINUTES + 0.05)
    after = train_embedding.State.load(checkpoint)
    assert after.student.trunk.channels == before.student.trunk.channels
    assert after.step > before.step
    assert after.elapsed_s == pytest.approx(60 * (MINUTES + 0.05), abs=5)


def test_the_bundle_tells_tones_from_noise(work: Path) -> None:
    seconds = np.arange(160_000) / 16_000
    sounds = {
        TONE: 0.4 * np.sin(2 * np.pi * 700 * seconds),
        NOISE: 0.1 * np.random.default_rng(5).normal(size=len(seconds)),
    }
    classifier = AudioClassifier.open(work / "bundle")
    for index, sound in sounds.items():
        path = work / f"{index}.wav"
        write_wav(path, sound)
        first, second = classifier.predict(path, top_k=2)
        assert first.label == teacher_classes()[index]
        assert first.probability > 2 * second.probability


def write_wav(path: Path, sound: Any) -> None:
    import soundfile

    soundfile.write(path, sound, 16_000)


def test_the_bundle_says_what_it_was_made_of(work: Path) -> None:
    manifest = AudioClassifier.open(work / "bundle").bundle.manifest
    assert manifest.metrics == {"sounds": 3}
    assert "published model is better" in manifest.description
    assert [source.name for source in manifest.provenance[1:]] == [
        f"sounds of source-{index}, which are not included" for index in range(3)
    ]
    assert all("CC0" in source.origin for source in manifest.provenance[1:])
