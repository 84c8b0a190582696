"""Makes template-zip.yaml from template.yaml: the same without a container, with layers and SnapStart.

It replaces text rather than YAML, so that comments and layout stay.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

INFRA: Final = Path(__file__).parent
SOURCE: Final = INFRA.parent / "template.yaml"
DOCKERFILE: Final = INFRA.parent / "Dockerfile.lambda"
TARGET: Final = INFRA / "template-zip.yaml"

RUNTIME: Final = """\
Globals:
  Function:
    Runtime: python3.12
    Handler: audio_classifier.lambda_handler.handler
    CodeUri: ../build/function
    Layers: [!Ref InferenceLayer, !Ref ModelLayer]
"""
# For the function that people wait for.
SNAP_START: Final = """\
      # In place of instances kept warm, with which it cannot be combined.
      SnapStart: {ApplyOn: PublishedVersions}
      # Each version's snapshot is paid for as long as the version exists.
      VersionDeletionPolicy: Delete
"""
LAYER: Final = """
  {name}Layer:
    Type: AWS::Serverless::LayerVersion
    Properties:
      LayerName: !Sub ${{AWS::StackName}}-{folder}
      ContentUri: ../build/layers/{folder}
      CompatibleRuntimes: [python3.12]
      CompatibleArchitectures: [!Ref Architecture]
      RetentionPolicy: Delete
      # Another layer makes another version of the functions.
      PublishLambdaVersion: true
"""
LAYERS: Final = "".join(LAYER.format(name=name.capitalize(), folder=name) for name in ("inference", "model"))

MALLOC: Final = "".join(
    f'        {name}: "{value}"\n'
    for name, value in re.findall(r"(MALLOC_\w+)=(\d+)", DOCKERFILE.read_text(encoding="utf-8"))
)

# What is found, how often, and what takes its place.
REPLACEMENTS: Final = (
    (r"\A", 1, "# Made from template.yaml by `make template-zip`; do not edit.\n"),
    (r"^(Description: .*)$", 1, r"\1; without a container"),
    # Parameters that make sense for images only: a condition, in the groups, their labels, themselves.
    (r"^  KeepsWarm: .*\n", 1, ""),
    (r"(?<=\[)Bundle, |\bProvisionedConcurrency, ", 2, ""),
    (r"^      (Bundle|ProvisionedConcurrency): \{default: .*\n", 2, ""),
    (r"^  (Bundle|ProvisionedConcurrency):\n(    .*\n)+", 2, ""),
    (r"^      ProvisionedConcurrencyConfig: !If\n(        - .*\n)+", 1, ""),
    # The functions: `make layers` builds them, so `sam build` must not.
    (r"^    Metadata:\n      Dockerfile: .*\n(      Docker.*\n)+", 2, "    Metadata: {SkipBuild: true}\n"),
    (r"^      PackageType: Image\n      #.*\n      ImageConfig: .*\n", 2, ""),
    (r"^Globals:\n  Function:\n", 1, RUNTIME),
    (r"(?<=^      Description: Answers over HTTP\n)", 1, SNAP_START),
    # As in the image.
    (r"(?<=^    Environment:\n      Variables:\n)", 1, MALLOC),
    (r"(?<=^Resources:\n)", 1, f"  # ---- Layers\n{LAYERS}\n"),
    (r"DefinitionUri: infra/", 1, "DefinitionUri: "),
)


def zip_template(text: str) -> str:
    """The template for zip functions, from that for images.

    Raises
    ------
    ValueError
        If something that is to be replaced is not found as often as it should be.
    """
    for pattern, count, replacement in REPLACEMENTS:
        text, found = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if found != count:
            raise ValueError(f"{pattern!r} is found {found} times in {SOURCE.name}, not {count} times")
    return text


if __name__ == "__main__":
    TARGET.write_text(zip_template(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
