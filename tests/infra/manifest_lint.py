"""Validate manifests against the schemas of Kubernetes and Knative: ``manifest_lint.py [FILE_OR_FOLDER...]``.

A value of the wrong type is an error, and so is an unknown key: a cluster would silently drop the key or
reject the manifest.  Requires the environment of ``requirements/infra.in``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import kubernetes_validate

from tests.infra.manifests import Document, documents, kustomizations, plain_manifests

KUBERNETES: Final = "1.37"
KNATIVE: Final = ".knative.dev"


def check(document: Document) -> None:
    """Raise an exception of the validating library if a document does not match its schema."""
    group, _, version = document["apiVersion"].rpartition("/")
    if not group.endswith(KNATIVE):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
        return
    area = group.removesuffix(KNATIVE)
    package = "knative_serving" if area == "serving" else "knative_eventing"
    models = import_module(f"cloudcoil.models.{package}.{area}.{version}")
    model = getattr(models, document["kind"])
    model.model_validate(document, strict=True, extra="forbid", by_alias=True, by_name=False)


def main(paths: list[Path]) -> int:
    """Check all documents of these files and folders, and return the exit status."""
    status = 0
    for path in paths:
        for document in documents(path):
            name = f"{path}: {document['kind']} {document['metadata']['name']}"
            try:
                check(document)
                print(f"{name}: valid")
            except Exception as error:  # noqa: BLE001  # the libraries raise unrelated exceptions for an invalid document
                status = 1
                print(f"{name}: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main([*map(Path, sys.argv[1:])] or [*plain_manifests(), *kustomizations()]))
