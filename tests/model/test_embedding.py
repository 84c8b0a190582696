from __future__ import annotations

import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.errors import BundleInvalidError, InvalidParameterError
from audio_classifier.model.embedding import Embedder


@pytest.fixture(scope="module")
def embedder(compact: Path) -> Embedder:
    return Embedder(compact / "embedding.tflite", threads=2)


@pytest.fixture(scope="module")
def patches() -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-4.6, 3, (12, 96, 64)).astype(np.float32)


def test_each_patch_is_embedded_as_128_nonnegative_numbers(
    embedder: Embedder, patches: NDArray[np.float32]
) -> None:
    embeddings = embedder.embed(patches)
    assert embeddings.shape == (12, 128)
    assert embeddings.dtype == np.float32
    assert (embeddings >= 0).all()
    assert embeddings.std() > 0


@pytest.mark.parametrize("count", [1, 3, 10, 12])
def test_embedding_of_a_patch_does_not_depend_on_other_patches(
    embedder: Embedder, patches: NDArray[np.float32], count: int
) -> None:
    np.testing.assert_allclose(embedder.embed(patches[:count]), embedder.embed(patches)[:count], atol=1e-4)


def test_result_is_kept_when_embedder_runs_again(embedder: Embedder, patches: NDArray[np.float32]) -> None:
    first = embedder.embed(patches[:2])
    kept = first.copy()
    embedder.embed(patches[2:4])
    np.testing.assert_array_equal(first, kept)


def test_threads_can_share_an_embedder(embedder: Embedder, patches: NDArray[np.float32]) -> None:
    counts = [1 + i % 12 for i in range(60)]
    expected = {count: embedder.embed(patches[:count]) for count in set(counts)}
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda count: embedder.embed(patches[:count]), counts))
    for count, result in zip(counts, results, strict=True):
        np.testing.assert_array_equal(result, expected[count])


def test_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "embedding.tflite"
    path.write_bytes(b"not a model" * 100)
    with pytest.raises(BundleInvalidError, match=r"embedding\.tflite is not a LiteRT model"):
        Embedder(path, threads=1)


def test_model_of_another_shape_is_refused(golden_data: Path) -> None:
    with pytest.raises(BundleInvalidError, match=r"expected tensors .*\(-1, 96, 64\).*, got .*15600"):
        Embedder(golden_data / "distillation" / "teacher" / "yamnet.tflite", threads=1)


@pytest.mark.parametrize("threads", [0, -5])
def test_threads_below_one_are_refused(compact: Path, threads: int) -> None:
    with pytest.raises(InvalidParameterError, match=f"threads: must be at least 1, got {threads}"):
        Embedder(compact / "embedding.tflite", threads=threads)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports resident memory in /proc")
def test_model_file_is_not_resident_after_weights_are_packed(compact: Path, tmp_path: Path) -> None:
    model = Path(shutil.copy(compact / "embedding.tflite", tmp_path))
    embedder = Embedder(model, threads=1)
    mappings = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    of_model = [mapping for mapping in mappings if str(model.resolve()) in mapping]
    assert of_model
    resident_kb = sum(int(re.findall(r"^Rss: *(\d+) kB$", mapping, re.MULTILINE)[0]) for mapping in of_model)
    assert resident_kb * 1024 < model.stat().st_size / 4
    del embedder
