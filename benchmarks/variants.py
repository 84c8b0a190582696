"""Tasks of ways that were tried, and of those that were kept instead."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pybase64
import soundfile
import soxr
from numpy.typing import NDArray

from audio_classifier.audio.decoder import MonoDecoder
from audio_classifier.audio.log_mel import MATMUL_FRAMES, log_mel_patches, mel_matrix, periodic_hann
from audio_classifier.audio.reader import read_window
from audio_classifier.audio.source import GuardedFile
from audio_classifier.constants import (
    CLIP_PATCHES,
    FFT_SIZE,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    LOG_OFFSET,
    MEL_BANDS,
    PATCH_FRAMES,
    SAMPLE_RATE_HZ,
)
from audio_classifier.hub.bundles import open_bundle
from audio_classifier.model.bundle import hash_file
from audio_classifier.model.embedding import Embedder

Work: TypeAlias = Callable[[], dict[str, float] | None]
"""Does a task once; may tell more than the seconds that it took."""

RATE_HZ: Final = 44_100


def log_mels(sound: str, dtype: str) -> Work:
    """Log-mels of ten seconds, in float64 (kept) or float32; and how far they are off."""
    samples = read_window(sound)
    if dtype == "float64":
        return lambda: _nothing(log_mel_patches(samples))
    mel, window = mel_matrix()[1:].astype(np.float32), periodic_hann(FRAME_SAMPLES).astype(np.float32)
    expected = log_mel_patches(samples)

    def in_float32() -> NDArray[np.float32]:
        frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
        patches = np.empty_like(expected)
        for index, patch in enumerate(patches):
            piece = frames[index * PATCH_FRAMES : (index + 1) * PATCH_FRAMES]
            magnitudes = np.abs(np.fft.rfft(piece * window, FFT_SIZE))
            bands = magnitudes[:, 1:].reshape(-1, MATMUL_FRAMES, FFT_SIZE // 2) @ mel
            patch[:] = np.log(bands.reshape(patch.shape) + np.float32(LOG_OFFSET))
        return patches

    error = float(np.abs(in_float32() - expected).max())
    return lambda: _only(error, in_float32())


def resample(quality: str) -> Work:
    """Ten seconds of mono to 16 kHz, by soxr's ``VHQ`` (kept) or ``HQ``, or ``resampy``; and how far log-mels
    are off.
    """
    mono = np.random.default_rng(0).standard_normal(10 * RATE_HZ, np.float32) / 8

    def resampled(by: str) -> Any:
        if by == "resampy":
            import resampy

            return resampy.resample(mono, RATE_HZ, SAMPLE_RATE_HZ)
        return soxr.resample(mono, RATE_HZ, SAMPLE_RATE_HZ, quality=by)

    error = float(np.abs(log_mel_patches(resampled(quality)) - log_mel_patches(resampled("VHQ"))).max())
    return lambda: _only(error, resampled(quality))


def sixteen_bits(sound: str, dtype: str) -> Work:
    """Ten seconds of 16-bit stereo as mono: read as they are (kept), or as floats that libsndfile makes."""
    frames = 10 * RATE_HZ

    def kept() -> None:
        decoder = MonoDecoder(sound)
        decoder.frames(0, frames)
        decoder.close()

    def as_floats() -> None:
        with soundfile.SoundFile(GuardedFile(sound)) as file:
            file.read(frames, "float32", always_2d=True) @ np.full(
                file.channels, 1 / file.channels, np.float32
            )

    return kept if dtype == "int16" else as_floats


def short_sound(place: str, sound: str, patches: str) -> Work:
    """The network on a short sound's own patches (kept), or on ten into which they were repeated before."""
    embedder = Embedder(open_bundle(place).path("embedding.tflite"), threads=2)
    own = log_mel_patches(read_window(sound))
    heard = own if patches == "own" else own[np.arange(CLIP_PATCHES) % len(own)]
    return lambda: _nothing(embedder.embed(heard))


def decoded(event: str, way: str) -> Work:
    """The base64 of an event's body, by ``pybase64`` (kept) or by ``python``."""
    body = json.loads(Path(event).read_bytes())["body"]
    decode = pybase64.b64decode if way == "pybase64" else base64.b64decode
    return lambda: _nothing(decode(body))


def hashed(place: str, way: str) -> Work:
    """A model's SHA-256 in ``large`` pieces (kept) or in ``small`` ones, beside a thread that never waits."""
    path = open_bundle(place).path("embedding.tflite")

    def in_small_pieces() -> None:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")

    def work() -> None:
        done = threading.Event()

        def spin() -> None:
            while not done.is_set():
                pass

        thread = threading.Thread(target=spin)
        thread.start()
        try:
            in_small_pieces() if way == "small" else hash_file(path, "sha256")
        finally:
            done.set()
            thread.join()

    return work


def loaded(place: str, cache: str = "") -> Work:
    """A network loaded and invoked once: packed (kept), or mapped from a file, XNNPACK's cache of weights."""
    path = str(open_bundle(place).path("embedding.tflite"))
    silence = np.zeros((CLIP_PATCHES, PATCH_FRAMES, MEL_BANDS), np.float32)

    def packed() -> None:
        Embedder(Path(path), threads=2).embed(silence)

    def mapped() -> None:
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.options import CpuOptions, Options

        options = Options(cpu_options=CpuOptions(num_threads=2, xnnpack_weight_cache_path=cache))
        model = CompiledModel.from_file(path, options=options)
        model.resize_input_tensor(0, silence.shape)
        inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
        inputs[0].write(silence.ravel())
        model.run_by_index(0, inputs, outputs)

    return mapped if cache else packed


def _nothing(_: object) -> None:
    """What a task has made need not be told."""


def _only(error: float, _: object) -> dict[str, float]:
    """But how far it is off."""
    return {"error": error}
