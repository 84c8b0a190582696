"""What goes in and out over HTTP, for FastAPI's OpenAPI document, and the original's Swagger 2.0 document."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from audio_classifier.constants import CLIP_PATCHES, PATCH_S, TOP_K

# The original's words: clients may compare them.
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


class PredictParameters(BaseModel):
    """Query parameters or form fields of a prediction."""

    model_config = ConfigDict(extra="ignore")

    start_time: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="The number of seconds into the audio file the prediction should start at.",
    )
    filter: str = Field(
        "", max_length=5_000, description="Only these classes: names or ids, with commas between them."
    )
    top_k: int = Field(TOP_K, ge=1, le=1000, description="How many classes.")
    threshold: float | None = Field(None, ge=0, le=1, description="The least probability.")
    timeline: bool = Field(
        False, description="What is heard when: windows over the whole file, and the events in them."
    )
    window: float = Field(
        CLIP_PATCHES * PATCH_S,
        gt=0,
        le=CLIP_PATCHES * PATCH_S,
        description="How many seconds a timeline hears at once; rounded to a multiple of 0.96.",
    )
    hop: float | None = Field(
        None,
        gt=0,
        le=CLIP_PATCHES * PATCH_S,
        description="Seconds from one window of a timeline to the next; the window if left out.",
    )
    release: float | None = Field(
        None,
        gt=0,
        le=1,
        description="An event, which begins at the threshold (0.3), ends below that (half of the threshold).",
    )
    min_duration: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="Shorter events are left out; in seconds."
    )

    @classmethod
    def openapi(cls) -> list[dict[str, Any]]:
        """As parameters of an operation."""
        properties = cls.model_json_schema()["properties"]
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.pop("description"),
                "schema": schema,
            }
            for name, schema in properties.items()
        ]


class LabelPrediction(BaseModel):
    """One class."""

    label_id: str = Field(description="Label identifier")
    label: str = Field(description="Audio class label")
    probability: float


class Window(BaseModel):
    """What is heard in a stretch of time, in seconds."""

    start: float
    end: float
    predictions: list[LabelPrediction]


class HeardEvent(BaseModel):
    """A class, from when to when it is heard, in seconds, and its highest and mean probability there."""

    label_id: str = Field(description="Label identifier")
    label: str = Field(description="Audio class label")
    start: float
    end: float
    peak: float
    mean: float


class PredictResponse(BaseModel):
    """``predictions``, or ``windows`` and ``events`` where a timeline was asked for."""

    status: str = Field(description="Response status message")
    predictions: list[LabelPrediction] | None = Field(None, description="The most probable classes")
    windows: list[Window] | None = None
    events: list[HeardEvent] | None = None


class ErrorResponse(BaseModel):
    """Every error's shape: what went wrong, and the way out."""

    status: str
    message: str
    hint: str


class MetadataResponse(BaseModel):
    """The original's, and which bundle answers."""

    id: str = Field(description="Model identifier")
    name: str = Field(description="Model name")
    description: str = Field(description="Model description")
    type: str = Field(description="Model type")
    license: str = Field(description="Model license")
    bundle: dict[str, Any]


class LabelEntry(BaseModel):
    """One class."""

    id: str
    name: str


class LabelsResponse(BaseModel):
    """All classes."""

    count: int
    labels: list[LabelEntry]


class StatusResponse(BaseModel):
    """All is well."""

    status: str


class UploadResponse(BaseModel):
    """Where to upload to (a form's address and fields), and where the result will be."""

    status: str
    id: str
    upload: dict[str, Any]
    result: str
    expires_in_s: int


class ResultResponse(BaseModel):
    """A result, as it is stored; or only ``"status": "pending"``."""

    model_config = ConfigDict(extra="allow")

    status: str


_BINARY: Final = {"type": "string", "format": "binary"}
PREDICT_BODY: Final[dict[str, Any]] = {
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
                    "audio": {"type": "string", "description": "s3://bucket/key, if it may be read"}
                },
            }
        },
    },
}


def swagger_2(base_path: str) -> dict[str, Any]:
    """The original's three routes as a Swagger 2.0 document, for its clients."""
    json_type = {"type": "string"}
    return {
        "swagger": "2.0",
        "basePath": base_path,
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
        "produces": ["application/json"],
        "consumes": ["application/json"],
        "tags": [{"name": "model", "description": "Model information and inference operations"}],
        "paths": {
            "/model/labels": {"get": _operation("get_labels", "Return the list of labels", "LabelsResponse")},
            "/model/metadata": {
                "get": _operation(
                    "get_metadata", "Return the metadata associated with the model", "ModelMetadata"
                )
            },
            "/model/predict": {
                "post": {
                    **_operation("predict", "Predict audio classes from input data", "ModelPredictResponse"),
                    "consumes": ["multipart/form-data"],
                    "parameters": [
                        {"name": "audio", "in": "formData", "type": "file", "required": True},
                        {"name": "start_time", "in": "query", "type": "number", "default": 0},
                        {
                            "name": "filter",
                            "in": "query",
                            "type": "array",
                            "items": json_type,
                            "collectionFormat": "csv",
                        },
                    ],
                }
            },
        },
        "definitions": {
            "LabelsResponse": {
                "type": "object",
                "properties": {
                    "count": {"type": "integer"},
                    "labels": {"type": "array", "items": {"$ref": "#/definitions/Label"}},
                },
            },
            "Label": {"type": "object", "properties": {"id": json_type, "name": json_type}},
            "ModelMetadata": {"type": "object", "properties": dict.fromkeys(METADATA, json_type)},
            "ModelPredictResponse": {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": json_type,
                    "predictions": {"type": "array", "items": {"$ref": "#/definitions/LabelPrediction"}},
                },
            },
            "LabelPrediction": {
                "type": "object",
                "required": ["label", "probability"],
                "properties": {"label_id": json_type, "label": json_type, "probability": {"type": "number"}},
            },
        },
    }


def _operation(operation_id: str, summary: str, definition: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": ["model"],
        "responses": {"200": {"description": "Success", "schema": {"$ref": f"#/definitions/{definition}"}}},
    }
