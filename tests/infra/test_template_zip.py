"""Tests of infra/zip_template.py and the template that it generates."""

from __future__ import annotations

import pytest

from audio_classifier.service.settings import PREFIX
from infra.zip_template import PYTHON, SOURCE, TARGET, zip_template
from tests.infra.templates import FUNCTIONS, IMAGE, ZIP, function, of_type


def test_zip_template_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == zip_template(SOURCE.read_text(encoding="utf-8"))


def test_replacement_without_match_raises_error() -> None:
    with pytest.raises(ValueError, match="PackageType"):
        zip_template(SOURCE.read_text(encoding="utf-8").replace("PackageType: Image", "PackageType: Zip"))


def test_only_zip_template_uses_snapstart_by_default() -> None:
    defaults = [template["Parameters"]["SnapStart"]["Default"] for template in (ZIP, IMAGE)]
    assert defaults == ["true", "false"]


def test_zip_functions_use_the_built_layers() -> None:
    for name in (*FUNCTIONS, "PreTrafficFunction"):
        properties = function(ZIP, name)
        assert properties["Runtime"] == f"python{PYTHON}"
        assert properties.keys() & {"PackageType", "ImageConfig"} == set()
        assert ZIP["Resources"][name]["Metadata"] == {"SkipBuild": True}
        assert properties["Layers"] == [{"Ref": "InferenceLayer"}, {"Ref": "ModelLayer"}]
        bundle = properties["Environment"]["Variables"][PREFIX + "BUNDLE"]["Fn::If"][2]
        # Lambda unpacks a layer to /opt, and build/layers/model contains the folder model.
        assert bundle == "/opt/model"
    layers = of_type(ZIP, "AWS::Serverless::LayerVersion")
    assert [layer["ContentUri"] for layer in layers.values()] == [
        "../build/layers/inference",
        "../build/layers/model",
    ]
    for layer in layers.values():
        assert layer["CompatibleRuntimes"] == [f"python{PYTHON}"]
        assert layer["PublishLambdaVersion"] is True
