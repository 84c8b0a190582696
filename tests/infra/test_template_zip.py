"""The template without a container is made from the other, and fits its layers."""

from __future__ import annotations

import pytest

from audio_classifier.service.settings import PREFIX
from infra.zip_template import SOURCE, TARGET, zip_template
from tests.infra.templates import FUNCTIONS, ZIP, function, of_type


def test_the_zip_template_is_current() -> None:
    assert TARGET.read_text(encoding="utf-8") == zip_template(SOURCE.read_text(encoding="utf-8"))


def test_a_replacement_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="PackageType"):
        zip_template(SOURCE.read_text(encoding="utf-8").replace("PackageType: Image", "PackageType: Zip"))


def test_the_function_that_people_wait_for_starts_from_a_snapshot_and_keeps_no_other() -> None:
    properties = function(ZIP, "ApiFunction")
    assert properties["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert properties["VersionDeletionPolicy"] == "Delete"
    assert "SnapStart" not in function(ZIP, "UploadFunction")


def test_zip_functions_have_their_layers() -> None:
    for name in FUNCTIONS:
        properties = function(ZIP, name)
        assert properties["Runtime"] == "python3.12"
        assert "ProvisionedConcurrencyConfig" not in properties
        assert ZIP["Resources"][name]["Metadata"] == {"SkipBuild": True}
        assert properties["Layers"] == [{"Ref": "InferenceLayer"}, {"Ref": "ModelLayer"}]
        bundle = properties["Environment"]["Variables"][PREFIX + "BUNDLE"]["Fn::If"][2]
        # A layer's content lands in /opt; build/layers/model holds the folder model.
        assert bundle == "/opt/model"
    layers = of_type(ZIP, "AWS::Serverless::LayerVersion")
    assert [layer["ContentUri"] for layer in layers.values()] == [
        "../build/layers/inference",
        "../build/layers/model",
    ]
    for layer in layers.values():
        assert layer["CompatibleRuntimes"] == ["python3.12"]
        assert layer["PublishLambdaVersion"] is True
