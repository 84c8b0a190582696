"""The importer with TensorFlow, on generated weights in the published formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier import AudioClassifier
from audio_classifier.cli.parser import main
from audio_classifier.convert.litert_export import export_embedding
from audio_classifier.convert.max_artifacts import VGGISH_LAYERS, read_checkpoint, read_pca
from audio_classifier.errors import ArtifactFormatError, ConversionError
from audio_classifier.model.bundle import Bundle
from tests.support.keras_files import multi_level

pytestmark = [
    pytest.mark.convert,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own
    pytest.mark.timeout(600),
]


def random_weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    variables = {}
    for layer, shape in VGGISH_LAYERS.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        variables[f"vggish/{layer}/weights"] = rng.standard_normal(shape, dtype=np.float32) * scale
        variables[f"vggish/{layer}/biases"] = rng.standard_normal(shape[-1], dtype=np.float32) * np.float32(
            0.01
        )
    return variables


def write_checkpoint(path: Path, variables: Mapping[str, NDArray[Any]]) -> Path:
    """Write a TensorFlow V1 single-file checkpoint, the format in which Google published VGGish."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        created = []
        for name, value in variables.items():
            created.append(v1.get_variable(name, shape=value.shape, dtype=value.dtype, use_resource=False))
            created[-1].load(value, session)
        v1.train.Saver(created, write_version=v1.train.SaverDef.V1).save(
            session, str(path), write_meta_graph=False, write_state=False
        )
    return path


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the three artifacts with random weights."""
    folder = tmp_path_factory.mktemp("artifacts")
    write_checkpoint(folder / "vggish_model.ckpt", random_weights())
    np.savez(
        folder / "vggish_pca_params.npz",
        pca_eigen_vectors=np.eye(128, dtype=np.float32),
        pca_means=np.ones((128, 1), np.float32),
    )
    file, output = multi_level((64, 32, 32), classes=527)
    file.write(folder / "classifier_model.h5", output)
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("options", "precision", "size_mb"),
    [
        ([], "float32", 289),
        (["--precision", "float16"], "float16", 144),
        (["--precision", "int8"], "int8", 72),
    ],
)
def test_command_writes_a_bundle_that_classifies(
    artifacts: Path,
    tmp_path: Path,
    assets: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    precision: str,
    size_mb: float,
) -> None:
    out_dir = tmp_path / "max"
    status = run("bundle", "import-max", out_dir, "--from", artifacts, "--allow-unverified", *options)
    assert status == 0, capsys.readouterr().err
    manifest = Bundle.open(out_dir).manifest
    assert (manifest.name, manifest.precision) == ("max", precision)
    sizes = {entry.path: entry.size for entry in manifest.files}
    assert sizes["embedding.tflite"] / 1e6 == pytest.approx(size_mb, rel=0.02)
    assert {source.name: source.verified for source in manifest.provenance} == {
        "vggish_model.ckpt": False, "vggish_pca_params.npz": False, "classifier_model.h5": False,
    }  # fmt: skip
    assert all(len(source.sha512) == 128 for source in manifest.provenance)
    assert "not the published weights" in manifest.licence
    assert manifest.metrics == {}
    assert len(AudioClassifier.open(out_dir).predict(assets / "rain.wav")) == 5
    capsys.readouterr()
    assert run("bundle", "verify", out_dir) == 0
    assert "all as listed" in capsys.readouterr().out
    assert run("classify", assets / "rain.wav", "--bundle", out_dir, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "ok"


def test_unverified_weights_are_refused_unless_allowed(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bundle", "import-max", tmp_path / "max", "--from", artifacts) == 2
    error = capsys.readouterr().err
    assert "vggish_model.ckpt" in error
    assert "--allow-unverified" in error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def weights() -> Mapping[str, NDArray[np.float32]]:
    return random_weights()


def test_checkpoint_is_read_as_written(artifacts: Path, weights: Mapping[str, NDArray[np.float32]]) -> None:
    read = read_checkpoint(artifacts / "vggish_model.ckpt")
    assert list(read) == list(VGGISH_LAYERS)
    for layer, (kernel, bias) in read.items():
        np.testing.assert_array_equal(kernel, weights[f"vggish/{layer}/weights"])
        np.testing.assert_array_equal(bias, weights[f"vggish/{layer}/biases"])


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("vggish/fc2/biases", None, "lacks the variable vggish/fc2/biases"),
        (
            "vggish/conv1/weights",
            np.zeros((3, 3, 64, 1), np.float32),
            r"conv1/weights must have the shape \(3, 3, 1, 64\), got",
        ),
        ("vggish/conv1/biases", np.full(64, np.nan, np.float32), "vggish/conv1/biases .* finite float32"),
        ("vggish/conv1/biases", np.zeros(64), "vggish/conv1/biases .* finite float32"),
    ],
)
def test_missing_or_invalid_variable_is_reported_by_name(
    tmp_path: Path, weights: Mapping[str, NDArray[Any]], name: str, value: NDArray[Any] | None, match: str
) -> None:
    variables = {**weights, name: value}
    path = write_checkpoint(
        tmp_path / "vggish_model.ckpt", {key: array for key, array in variables.items() if array is not None}
    )
    with pytest.raises(ArtifactFormatError, match=match):
        read_checkpoint(path)


def test_other_files_in_the_checkpoints_folder_are_ignored(
    artifacts: Path, tmp_path: Path, weights: Mapping[str, NDArray[np.float32]]
) -> None:
    """TensorFlow treats a path as a prefix, and would read PREFIX.index instead of the verified file."""
    import tensorflow as tf

    folder = tmp_path / "odd [name]*"
    folder.mkdir()
    path = folder / "vggish_model.ckpt"
    tf.train.Checkpoint(other=tf.Variable(1.0)).write(str(path))
    assert (folder / "vggish_model.ckpt.index").exists()
    path.symlink_to(artifacts / "vggish_model.ckpt")
    kernel, _ = read_checkpoint(path)["conv1"]
    np.testing.assert_array_equal(kernel, weights["vggish/conv1/weights"])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint" * 100])
def test_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vggish_model.ckpt"
    path.write_bytes(content)
    with pytest.raises(ArtifactFormatError, match=r"vggish_model\.ckpt is not a TensorFlow checkpoint"):
        read_checkpoint(path)


def test_truncated_checkpoint_is_refused(artifacts: Path, tmp_path: Path) -> None:
    path = tmp_path / "vggish_model.ckpt"
    path.write_bytes((artifacts / "vggish_model.ckpt").read_bytes()[:1_000_000])
    with pytest.raises(ArtifactFormatError, match=r"vggish_model\.ckpt"):
        read_checkpoint(path)


def test_npz_with_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vggish_pca_params.npz"
    np.savez(path, pca_eigen_vectors=np.array([{}], dtype=object), pca_means=np.ones((128, 1)))
    with pytest.raises(ArtifactFormatError, match="not an archive of plain arrays"):
        read_pca(path)


def test_pca_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vggish_pca_params.npz"
    np.savez(path, pca_eigen_vectors=np.full((128, 128), np.inf), pca_means=np.ones((128, 1)))
    with pytest.raises(
        ArtifactFormatError,
        match=r"^vggish_pca_params.npz: pca_eigen_vectors must contain only finite numbers",
    ):
        read_pca(path)


def test_export_with_different_results_is_refused(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audio_classifier.model.embedding import Embedder

    monkeypatch.setattr(Embedder, "embed", lambda self, patches: np.ones((len(patches), 128), np.float32))
    with pytest.raises(ConversionError, match=r"deviates from TensorFlow by .* of its range"):
        export_embedding(read_checkpoint(artifacts / "vggish_model.ckpt"), "int8")
