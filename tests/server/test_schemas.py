from __future__ import annotations

import requests
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV31SpecValidator

from audio_classifier.service.parameters import PredictParameters
from tests.server.client import PREDICT


def test_openapi_and_swagger_documents_are_valid_and_agree(url: str) -> None:
    openapi = requests.get(f"{url}/openapi.json", timeout=5).json()
    swagger = requests.get(f"{url}/swagger.json", timeout=5).json()
    OpenAPIV31SpecValidator(openapi).validate()
    OpenAPIV2SpecValidator(swagger).validate()
    assert openapi["info"] == swagger["info"]
    for path, operations in swagger["paths"].items():
        for method, operation in operations.items():
            openapi_operation = openapi["paths"][path][method]
            assert openapi_operation["operationId"] == operation["operationId"]
            names = {parameter["name"] for parameter in operation.get("parameters", ())} - {"audio"}
            assert names <= {parameter["name"] for parameter in openapi_operation.get("parameters", ())}


def test_query_parameters_are_those_of_a_prediction(url: str) -> None:
    openapi = requests.get(f"{url}/openapi.json", timeout=5).json()
    parameters = openapi["paths"][PREDICT]["post"]["parameters"]
    assert {parameter["name"] for parameter in parameters} == PredictParameters.model_fields.keys()
