"""Holds manifests against the schemas of Kubernetes and Knative.  ``manifest_lint.py [FILE_OR_FOLDER...]``

A value of another type is an error, and so is a key that the schema does not know: a cluster would drop it in
silence, or refuse all of it.  Needs the environment of ``requirements/infra.in``.
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
    """Raise an exception that says what is wrong with a document, if anything is."""
    group, _, version = document["apiVersion"].rpartition("/")
    if not group.endswith(KNATIVE):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
        return
    area = group.removesuffix(KNATIVE)
    package = "knative_serving" if area == "serving" else "knative_eventing"
    models = import_module(f"cloudcoil.models.{package}.{area}.{version}")
    model = getattr(models, document["kind"])
    model.model_validate(document, strict=True, extra="forbid", by_alias=True, by_name=False)


def main(places: list[Path]) -> int:
    """Check all documents in these places; the exit status."""
    status = 0
    for place in places:
        for document in documents(place):
            name = f"{place}: {document['kind']} {document['metadata']['name']}"
            try:
                check(document)
                print(f"{name}: as its schema wants it")
            except Exception as error:  # noqa: BLE001  # each library has its own, and all mean the same
                status = 1
                print(f"{name}: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main([*map(Path, sys.argv[1:])] or [*plain_manifests(), *kustomizations()]))
