"""The requests and responses of the API, as FastAPI's OpenAPI document describes them."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from audio_classifier.constants import EMBEDDING_SIZE
from audio_classifier.service.parameters import PredictParameters

# The original's texts, which clients may compare.
TITLE: Final = "MAX Audio Classifier"
VERSION: Final = "1.2.0"
DESCRIPTION: Final = "Identify sounds in short audio clips"
METADATA: Final = {
    "id": "audio_embeddings-tf-imagenet",
    "name": "audio_embeddings TensorFlow Model",
    "description": "audio_embeddings TensorFlow model trained on Audio Set",
    "type": "audio_classification",
    "license": "Apache 2.0",
}


def query_parameters(parameters: type[BaseModel] = PredictParameters) -> list[dict[str, Any]]:
    """Describe the fields of a model as the query parameters of an OpenAPI operation."""
    properties = parameters.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "allowEmptyValue": True,  # an empty value stands for the default
            "description": schema.pop("description"),
            "schema": schema,
        }
        for name, schema in properties.items()
    ]


class LabelPrediction(BaseModel):
    """A class and its probability."""

    label_id: str = Field(description="Label identifier")
    label: str = Field(description="Audio class label")
    probability: float


class Window(BaseModel):
    """The predictions for a window of a recording; times in seconds."""

    start: float
    end: float
    predictions: list[LabelPrediction]


class SoundEvent(BaseModel):
    """A class and when it is present, in seconds, with its peak and mean probability there."""

    label_id: str = Field(description="Label identifier")
    label: str = Field(description="Audio class label")
    start: float
    end: float
    peak: float
    mean: float


class AudioWarning(BaseModel):
    """Something about a recording that can make its predictions wrong."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="A stable identifier, for programs")
    message: str = Field(description="A sentence for people, with the numbers in it")


class AudioDetails(BaseModel):
    """The header of a recording."""

    format: str
    subtype: str
    sample_rate_hz: int
    channels: int
    seconds: float | None


class ModelDetails(BaseModel):
    """The model that answered."""

    bundle: str
    version: str
    digest: str
    reader: int = Field(description="The version of the reader of audio files")
    thresholds: str | None = None


class PredictResponse(BaseModel):
    """``predictions``; with a timeline also ``windows`` and ``events``; ``warnings`` if there are any."""

    status: str = Field(description="Response status message")
    predictions: list[LabelPrediction] | None = Field(None, description="The most probable classes")
    windows: list[Window] | None = None
    events: list[SoundEvent] | None = None
    warnings: list[AudioWarning] | None = None
    audio: AudioDetails | None = Field(None, description="With details")
    analyzed_seconds: float | None = Field(None, description="With details")
    model: ModelDetails | None = Field(None, description="With details")


class PatchEmbedding(BaseModel):
    """The embedding of a patch of 0.96 s."""

    start: float = Field(description="Where the patch begins, in seconds")
    values: list[float] = Field(
        min_length=EMBEDDING_SIZE,
        max_length=EMBEDDING_SIZE,
        description="The dequantized 8-bit codes, (code - 128) / 128: from -1 to 127/128",
    )


class EmbedResponse(BaseModel):
    """The embeddings of a recording; ``warnings`` if there are any."""

    status: str = Field(description="Response status message")
    embeddings: list[PatchEmbedding]
    warnings: list[AudioWarning] | None = None
    analyzed_seconds: float | None = Field(None, description="With details")
    model: ModelDetails | None = Field(None, description="With details")


class ErrorResponse(BaseModel):
    """The body of every error."""

    status: str
    code: str = Field(description="A stable identifier, for programs")
    message: str = Field(description="What was expected and what was found")
    hint: str = Field(description="How to fix it; may be empty")


class MetadataResponse(BaseModel):
    """The original's metadata, and the bundle that is loaded."""

    id: str = Field(description="Model identifier")
    name: str = Field(description="Model name")
    description: str = Field(description="Model description")
    type: str = Field(description="Model type")
    license: str = Field(description="Model license")
    bundle: dict[str, Any]


class LabelEntry(BaseModel):
    """The id and name of a class."""

    id: str
    name: str


class LabelsResponse(BaseModel):
    """All classes."""

    count: int
    labels: list[LabelEntry]


class StatusResponse(BaseModel):
    """Success."""

    status: str


class UploadResponse(BaseModel):
    """Where to upload to (the address and fields of a form), and where the result will be."""

    status: str
    id: str
    upload: dict[str, Any]
    result: str
    expires_in_s: int


class ResultResponse(BaseModel):
    """A result as it is stored, or only ``"status": "pending"``."""

    model_config = ConfigDict(extra="allow")

    status: str


_BINARY: Final = {"type": "string", "format": "binary"}
AUDIO_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["audio"],
                "properties": {"audio": {**_BINARY, "description": "A WAV, FLAC, OGG or MP3 file"}},
            }
        },
        "audio/*": {"schema": _BINARY},
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["audio"],
                "properties": {
                    "audio": {"type": "string", "description": "s3://bucket/key of an allowed bucket"}
                },
            }
        },
    },
}
