"""The manifest of a bundle: its files, and the front end and kind of its network."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from audio_classifier.errors import BundleInvalidError

MANIFEST: Final = "manifest.json"
EMBEDDING: Final = "embedding.tflite"
POSTPROCESS: Final = "postprocess.npz"
HEAD: Final = "head.npz"
LINEAR_HEAD: Final = "linear_head.npz"
NETWORK: Final = "network.tflite"
LABELS: Final = "labels.csv"
HEADS: Final = (HEAD, LINEAR_HEAD)
PATCH_FILES: Final = (
    EMBEDDING,
    POSTPROCESS,
    LABELS,
)  # of a network that reads patches, and one or both heads
FILES: Final = (*PATCH_FILES, HEAD)  # of one that has only an attention head
CLIP_FILES: Final = (NETWORK, LABELS)  # of a network that reads clips
MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_BUNDLE_BYTES: Final = 2 << 30  # all files together; the largest bundle has 310 MB
MAX_FILES: Final = 32


def plain_name(path: str) -> str:
    """Check that a name cannot refer to a file outside the bundle, on any operating system."""
    if not re.fullmatch(r"\w[\w.-]{0,99}", path, re.ASCII):
        raise ValueError(f"expected a plain file name of letters, digits and _.-, got {path!r}")
    if path.lower() == MANIFEST:
        raise ValueError("the manifest cannot list itself")
    return path


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Model):
    """The name, size and hash of one file in a bundle."""

    path: Annotated[str, AfterValidator(plain_name)]
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Source(_Model):
    """An artifact or data set that a bundle was made from."""

    name: str
    origin: str = ""
    sha512: str = ""
    verified: bool | None = None  # against a published checksum; None if none is published


class FrontEndFields(_Model):
    """The front end of a network; see `audio.front_end.FrontEnd`, which has the same fields."""

    sample_rate_hz: Annotated[int, Field(ge=8_000, le=96_000)]
    window_samples: Annotated[int, Field(ge=2, le=1 << 14)]
    hop_samples: Annotated[int, Field(ge=1, le=1 << 14)]
    fft_size: Annotated[int, Field(ge=2, le=1 << 14, multiple_of=2)]
    window: Literal["hann_periodic", "hann_symmetric"]
    is_centred: bool
    pre_emphasis: Annotated[float, Field(ge=0, lt=1)]
    spectrum: Literal["magnitude", "power"]
    mel_bands: Annotated[int, Field(ge=1, le=1024)]
    mel_min_hz: Annotated[float, Field(ge=0)]
    mel_max_hz: Annotated[float, Field(gt=0)]
    log_offset: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    log_shift: Annotated[float, Field(allow_inf_nan=False)]
    log_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    precision: Literal["float32", "float64"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hop_samples * 100 != self.sample_rate_hz:  # steps of 96 frames last 0.96 s everywhere
            raise ValueError("hop_samples must be a hundredth of sample_rate_hz")
        if self.window_samples > self.fft_size:
            raise ValueError("window_samples must be at most fft_size")
        if not self.mel_min_hz < self.mel_max_hz <= self.sample_rate_hz / 2:
            raise ValueError("mel_min_hz must be below mel_max_hz, and that at most half of sample_rate_hz")
        return self


class Manifest(_Model):
    """The content of ``manifest.json``.

    Attributes
    ----------
    schema_version
        2 if the manifest describes the network, or a linear head is listed; 1 if it is a network with an
        attention head that reads patches of VGGish's front end.
    network
        ``patches``: an embedding of each patch, and one or two heads that classify up to ten.  ``clip``:
        class scores of log-mels of any length.
    front_end
        The front end of a network that reads clips.
    """

    schema_version: Literal[1, 2] = 1
    network: Literal["patches", "clip"] = "patches"
    front_end: FrontEndFields | None = None
    name: str
    version: str
    description: str
    licence: str
    precision: Literal["float32", "float16", "int8"] = "float32"  # of the embedding network's weights
    provenance: tuple[Source, ...] = ()
    metrics: dict[str, Any] = {}
    files: tuple[FileEntry, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        reads_clips = self.network == "clip"
        if self.schema_version == 1 and (reads_clips or self.front_end):
            raise ValueError("network and front_end need schema_version 2")
        if reads_clips != (self.front_end is not None):
            raise ValueError("front_end describes the front end of a network of the kind clip")
        paths = [entry.path for entry in self.files]
        if len(set(paths)) < len(paths):
            raise ValueError("a file is listed twice")
        if missing := set(CLIP_FILES if reads_clips else PATCH_FILES) - set(paths):
            raise ValueError(f"{', '.join(sorted(missing))} must be listed")
        if not reads_clips and not set(HEADS) & set(paths):
            raise ValueError(f"{' or '.join(HEADS)} must be listed")
        if self.schema_version == 1 and LINEAR_HEAD in paths:
            raise ValueError(f"{LINEAR_HEAD} needs schema_version 2")
        if len(paths) > MAX_FILES:
            raise ValueError(f"at most {MAX_FILES} files may be listed, got {len(paths)}")
        if (total := sum(entry.size for entry in self.files)) > MAX_BUNDLE_BYTES:
            raise ValueError(f"the files must have at most {MAX_BUNDLE_BYTES} bytes, got {total}")
        return self

    @classmethod
    def parse(cls, data: bytes, uri: str) -> Self:
        """Parse the bytes of a manifest.

        Parameters
        ----------
        data
            The content of ``manifest.json``.
        uri
            The URI or directory of the bundle, which error messages name.

        Raises
        ------
        BundleInvalidError
            If it is not a manifest, or has another schema version.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BundleInvalidError(
                f"{uri}: {MANIFEST} is invalid{' at ' + where if where else ''}: {first['msg']}",
                hint="Build it again: another version of this package may have built it.",
            ) from error
