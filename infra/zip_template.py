"""Generate template-zip.yaml from template.yaml: zip functions with layers and SnapStart instead of images.

The script edits text rather than parsed YAML, so that comments and layout are kept.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

INFRA: Final = Path(__file__).parent
SOURCE: Final = INFRA.parent / "template.yaml"
TARGET: Final = INFRA / "template-zip.yaml"
DOCKERFILE_TEXT: Final = (INFRA.parent / "Dockerfile.lambda").read_text(encoding="utf-8")

# The version of Python in the image.
(PYTHON,) = re.findall(r"^ARG BASE_IMAGE=\S+/python:(\d+\.\d+)", DOCKERFILE_TEXT, re.MULTILINE)

RUNTIME: Final = f"""\
Globals:
  Function:
    Runtime: python{PYTHON}
    Handler: audio_classifier.lambda_handler.handler
    CodeUri: ../build/function
    Layers: [!Ref InferenceLayer, !Ref ModelLayer]
"""
LAYER: Final = """
  {name}Layer:
    Type: AWS::Serverless::LayerVersion
    Properties:
      LayerName: !Sub ${{AWS::StackName}}-{folder}
      ContentUri: ../build/layers/{folder}
      CompatibleRuntimes: [python{python}]
      CompatibleArchitectures: [!Ref Architecture]
      RetentionPolicy: Delete
      # A new version of the layer publishes new versions of the functions.
      PublishLambdaVersion: true
"""
LAYERS: Final = "".join(
    LAYER.format(name=name.capitalize(), folder=name, python=PYTHON) for name in ("inference", "model")
)

MALLOC: Final = "".join(
    f'        {name}: "{value}"\n' for name, value in re.findall(r"(MALLOC_\w+)=(\d+)", DOCKERFILE_TEXT)
)

# Patterns, how often each is found, and their replacements.
REPLACEMENTS: Final = (
    (r"\A", 1, "# Generated from template.yaml by `make template-zip`; do not edit.\n"),
    (r"^(Description: .*)$", 1, r"\1 (zip packaging)"),
    # Parameters of images only: their group, labels and definitions.
    (r"(?<=\[)Bundle, BaseImage, ", 1, ""),
    (r"^      (Bundle|BaseImage): \{default: .*\n", 2, ""),
    (r"^  (Bundle|BaseImage):\n(    .*\n)+", 2, ""),
    # SnapStart supported zip functions before it supported images, so it is the default here.
    (r'(?<=^  SnapStart:\n    Type: String\n    Default: )"false"', 1, '"true"'),
    # `make layers` builds the functions, so `sam build` must skip them.
    (r"^    Metadata:\n      Dockerfile: .*\n(      Docker.*\n)+", 3, "    Metadata: {SkipBuild: true}\n"),
    (r"^      PackageType: Image\n      #.*\n      ImageConfig: .*\n", 2, ""),
    (r"^      PackageType: Image\n      ImageConfig: \{Command: \[(.*)\]\}\n", 1, r"      Handler: \1\n"),
    (r"^Globals:\n  Function:\n", 1, RUNTIME),
    # The same settings of glibc as in the image.
    (r"(?<=^    Environment:\n      Variables:\n)", 1, MALLOC),
    (r"(?<=^Resources:\n)", 1, f"  # ---- Layers\n{LAYERS}\n"),
    (r"DefinitionUri: infra/", 1, "DefinitionUri: "),
)


def zip_template(text: str) -> str:
    """Return the template for zip functions, given the text of the one for images.

    Raises
    ------
    ValueError
        If a pattern is not found as often as `REPLACEMENTS` states.
    """
    for pattern, count, replacement in REPLACEMENTS:
        text, found = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if found != count:
            raise ValueError(f"{SOURCE.name} must match {pattern!r} {count} times, but matches {found} times")
    return text


if __name__ == "__main__":
    TARGET.write_text(zip_template(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
