from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from audio_classifier.batch.embedding_files import BundleIdentity, written_embeddings
from audio_classifier.batch.search import BLOCK_ROWS, most_similar, query_vector
from audio_classifier.batch.stored_embeddings import StoredEmbeddings
from audio_classifier.errors import InvalidParameterError, StartBeyondEndError
from audio_classifier.inference.embeddings import Embeddings

ROWS = 20_001  # three blocks


def stored(path: Path, codes: np.ndarray, files: int = 3) -> StoredEmbeddings:
    with written_embeddings(path, BundleIdentity("compact", "1", "0")) as writer:
        for number, part in enumerate(np.array_split(codes, files)):
            writer.add(f"{number}.wav", Embeddings.consecutive(part))
    return StoredEmbeddings(path)


def random_codes(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, 128), np.uint8)


@pytest.mark.parametrize("top_k", [1, 7, ROWS + 5])
def test_matches_are_those_of_all_rows_at_once(tmp_path: Path, top_k: int) -> None:
    codes = random_codes()
    found = stored(tmp_path / "x.npz", codes)
    assert ROWS > 2 * BLOCK_ROWS
    query = np.random.default_rng(1).normal(size=128).astype(np.float32)
    matches = most_similar(query, found, top_k=top_k)
    values = (codes.astype(np.float64) - 128) / 128
    cosines = values @ query / np.linalg.norm(values, axis=1) / np.linalg.norm(query)
    order = np.argsort(-cosines, kind="stable")[:top_k]
    np.testing.assert_allclose([match.similarity for match in matches], cosines[order], atol=1e-5)
    arrays = np.load(tmp_path / "x.npz")
    first = order[0]
    assert matches[0].file == f"{arrays['file_index'][first]}.wav"
    assert matches[0].start_s == arrays["start_s"][first]


def test_first_of_equal_rows_comes_first_and_similarity_is_at_most_one(tmp_path: Path) -> None:
    codes = random_codes()
    codes[[5, 9_000, 20_000]] = codes[7]
    found = stored(tmp_path / "x.npz", codes, files=1)
    query = Embeddings.consecutive(codes[7:8]).values[0]
    matches = most_similar(query, found, top_k=4)
    assert [match.start_s for match in matches] == pytest.approx([4.8, 6.72, 8640, 19_200])
    assert all(0.99999 < match.similarity <= 1 for match in matches)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    query = np.ones(128, np.float32)
    peaks = []
    for rows in (20_000, 200_000):
        found = stored(tmp_path / f"{rows}.npz", random_codes(rows), files=1)
        tracemalloc.start()
        most_similar(query, found)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 25e6


def test_top_k_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="top_k: must be at least 1, got 0"):
        most_similar(np.ones(128, np.float32), stored(tmp_path / "x.npz", random_codes(3)), top_k=0)


def test_vector_without_direction_is_similar_to_nothing(tmp_path: Path) -> None:
    found = stored(tmp_path / "x.npz", np.full((3, 128), 128, np.uint8))
    for query in (np.zeros(128, np.float32), np.ones(128, np.float32)):
        assert {match.similarity for match in most_similar(query, found)} == {0}


@pytest.mark.parametrize(("time_s", "patch"), [(0, 0), (0.95, 0), (0.96, 1), (2.88, 3), (3.5, 3), (4.7, 3)])
def test_query_at_a_time_is_the_patch_that_contains_it(time_s: float, patch: int) -> None:
    embeddings = Embeddings.consecutive(random_codes(4))
    np.testing.assert_array_equal(query_vector(embeddings, time_s), embeddings.values[patch])


def test_query_without_a_time_is_the_mean(tmp_path: Path) -> None:
    embeddings = Embeddings.consecutive(random_codes(4))
    np.testing.assert_allclose(query_vector(embeddings), embeddings.values.mean(axis=0), atol=1e-6)


def test_time_outside_the_recording_is_refused() -> None:
    embeddings = Embeddings.consecutive(random_codes(4))
    with pytest.raises(StartBeyondEndError, match=r"5 s, is beyond .* begins at 2\.88 s"):
        query_vector(embeddings, 5)
    with pytest.raises(InvalidParameterError, match="at least 0 s, got -1 s"):
        query_vector(embeddings, -1)
