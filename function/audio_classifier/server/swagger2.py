"""The original's Swagger 2.0 document."""

from __future__ import annotations

from typing import Any

from audio_classifier.server.api_keys import SECURITY_SCHEMES
from audio_classifier.server.schemas import DESCRIPTION, METADATA, TITLE, VERSION


def swagger_2(base_path: str, *, needs_key: bool) -> dict[str, Any]:
    """Describe the original's three routes, for its clients."""
    json_type = {"type": "string"}
    security = {
        "securityDefinitions": {"ApiKey": SECURITY_SCHEMES["ApiKey"]},
        "security": [{"ApiKey": []}],
    }
    return {
        **(security if needs_key else {}),
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
