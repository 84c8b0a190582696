"""Load the manifests: plain files as they are, and kustomizations rendered by kubectl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"

Document: TypeAlias = dict[str, Any]


def kustomizations() -> list[Path]:
    """List the folders that kubectl can render; it cannot render components on their own."""
    files = sorted(INFRA.rglob("kustomization.yaml"))
    return [file.parent for file in files if yaml.safe_load(file.read_text())["kind"] == "Kustomization"]


def plain_manifests() -> list[Path]:
    """List the files that can be applied to a cluster without kustomize."""
    files = sorted(path for folder in kustomizations() for path in folder.glob("*.yaml"))
    return [path for path in files if path.name != "kustomization.yaml"]


def documents(path: Path) -> Iterator[Document]:
    """Yield the documents of a file, or of a folder's rendered kustomization."""
    command = ["kubectl", "kustomize", str(path)]
    rendered = (
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        if path.is_dir()
        else path.read_text()
    )
    yield from yaml.safe_load_all(rendered)
