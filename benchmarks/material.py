"""Create the test material: recordings, and bundles with the published architecture.

``python -m benchmarks.material FOLDER`` creates them.  The recordings consist of the project's own WAV files.
The weights are random and have the published shapes, so they take the same time as the published weights
and need no download.
"""

from __future__ import annotations

import base64
import json
import sys
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audio_classifier.assets import audioset_labels_path
from audio_classifier.constants import CLASSES, EMBEDDING_SIZE
from audio_classifier.convert.litert_export import Precision, export_embedding
from audio_classifier.convert.max_artifacts import VGGISH_LAYERS
from audio_classifier.model.attention import AttentionHead, Dense, Level
from audio_classifier.model.bundle import write_bundle
from audio_classifier.model.manifest import EMBEDDING, HEAD, LABELS, POSTPROCESS
from audio_classifier.model.postprocess import Postprocessor
from benchmarks.paths import PRECISIONS, Paths

ASSETS: Final = Path(__file__).parents[1] / "assets"
RATE_HZ: Final = 44_100
SHORT_FILES: Final = 200
HIDDEN: Final = 1024  # as in the published classifier
BOUNDARY: Final = b"----------------------boundary"


def main() -> None:
    create(Paths(Path(sys.argv[1])))


def create(paths: Paths) -> None:
    """Create all files; requires TensorFlow."""
    write_ten_seconds(paths)
    audio = _audio()
    _write(paths.ten_minutes, audio, 600, channels=2)
    _write(paths.minute, audio, 60, channels=1)
    _write(paths.hour, audio, 3600, channels=1)
    _write_short_files(paths.short_files, audio)
    paths.event.write_text(json.dumps(http_event(paths.ten_seconds.read_bytes())), encoding="utf-8")

    np.savez(paths.weights, **write_max_bundles(paths, PRECISIONS))


def write_max_bundles(paths: Paths, precisions: Iterable[Precision]) -> dict[str, Any]:
    """Write a bundle with the published architecture in each precision; return its arrays."""
    generator = np.random.default_rng(0)
    weights = {
        layer: (_kernel(generator, shape), _kernel(generator, shape[-1:]) * np.float32(0.01))
        for layer, shape in VGGISH_LAYERS.items()
    }
    postprocessor, head = _postprocessor(generator), random_head(generator)
    for precision in precisions:
        write_bundle(
            paths.bundle(precision),
            {
                EMBEDDING: export_embedding(weights, precision),
                POSTPROCESS: postprocessor.arrays(),
                HEAD: head.arrays(),
                LABELS: audioset_labels_path(),
            },
            name="random",
            version="1",
            description="The published architecture with random weights",
            licence="Apache-2.0",
            precision=precision,
        )
    arrays: dict[str, Any] = {**postprocessor.arrays(), **head.arrays()}
    for layer, (kernel, bias) in weights.items():
        arrays |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    return arrays


def http_event(wav: bytes) -> dict[str, object]:
    """Return the event that API Gateway sends for the form upload of a WAV file (`curl -F audio=@...`)."""
    head = (
        b'Content-Disposition: form-data; name="audio"; filename="recording.wav"\r\nContent-Type: audio/wav'
    )
    body = b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (BOUNDARY, head, wav, BOUNDARY)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/model/predict",
        "rawQueryString": "",
        "headers": {
            "content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}",
            "content-length": str(len(body)),
        },
        "requestContext": {
            "http": {"method": "POST", "path": "/model/predict", "sourceIp": "127.0.0.1"},
            "stage": "$default",
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def write_ten_seconds(paths: Paths) -> None:
    """Write the recording of a request."""
    _write(paths.ten_seconds, _audio(), 10, channels=2)


def _audio() -> NDArray[np.int16]:
    """Concatenate all WAV files of the project, as mono."""
    recordings = (
        soundfile.read(path, dtype="float32", always_2d=True) for path in sorted(ASSETS.glob("*.wav"))
    )
    audio = np.concatenate([soxr.resample(signal.mean(axis=1), rate, RATE_HZ) for signal, rate in recordings])
    return np.round(audio.clip(-1, 1) * 32767).astype("<i2")


def _write(path: Path, audio: NDArray[np.int16], seconds: int, *, channels: int) -> None:
    """Write a 16-bit WAV file of ``seconds``, repeating the audio as often as necessary."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        left = seconds * RATE_HZ
        while left:
            piece = audio[:left]
            file.writeframes(np.repeat(piece, channels).tobytes())
            left -= len(piece)


def _write_short_files(folder: Path, audio: NDArray[np.int16]) -> None:
    """Write hundreds of excerpts, each 1 to 10 s long."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(SHORT_FILES):
        begin, seconds = generator.integers(len(audio) - 10 * RATE_HZ), generator.uniform(1, 10)
        excerpt = audio[begin : begin + round(seconds * RATE_HZ)]
        soundfile.write(folder / f"{number:03}.wav", excerpt, RATE_HZ)


def _kernel(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw weights scaled for ReLU (He et al., arXiv:1502.01852), so that signals neither vanish nor grow."""
    inputs = int(np.prod(shape[:-1]))
    return generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / inputs))


def _postprocessor(generator: np.random.Generator) -> Postprocessor:
    basis, _ = np.linalg.qr(generator.standard_normal((EMBEDDING_SIZE, EMBEDDING_SIZE)))
    means = 1 + 0.3 * generator.standard_normal(EMBEDDING_SIZE)
    return Postprocessor((0.6 * basis).astype(np.float32), means.astype(np.float32))


def random_head(generator: np.random.Generator) -> AttentionHead:
    """Draw a head of the published shape whose predictions depend clearly on its input.

    Tests and benchmarks compare predictions, so different inputs must yield different ones.
    """

    def dense(inputs: int, outputs: int, gain: float = 1) -> Dense:
        kernel = _kernel(generator, (inputs, outputs)) * np.float32(gain)
        return Dense(kernel, _kernel(generator, (outputs,)) * np.float32(0.1))

    hidden = (dense(EMBEDDING_SIZE, HIDDEN), dense(HIDDEN, HIDDEN), dense(HIDDEN, HIDDEN))
    levels = (Level(1, dense(HIDDEN, 2 * CLASSES, 4)), Level(2, dense(HIDDEN, 2 * CLASSES, 4)))
    output = dense(2 * CLASSES, CLASSES, 2)
    # The levels output values around one half; this common part would outweigh their differences.
    output.kernel[:] -= output.kernel.mean(axis=0)
    return AttentionHead(hidden, levels, output)


if __name__ == "__main__":
    main()
