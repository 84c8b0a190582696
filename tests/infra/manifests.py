"""The manifests as data: plain ones as they stand, kustomizations rendered by kubectl."""

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
    """Folders that kubectl can render; components are only parts of such."""
    files = sorted(INFRA.rglob("kustomization.yaml"))
    return [file.parent for file in files if yaml.safe_load(file.read_text())["kind"] == "Kustomization"]


def plain_manifests() -> list[Path]:
    """Files of what a cluster knows."""
    files = sorted(path for folder in kustomizations() for path in folder.glob("*.yaml"))
    return [path for path in files if path.name != "kustomization.yaml"]


def documents(place: Path) -> Iterator[Document]:
    """What is in a file, or what a folder's kustomization is rendered to."""
    command = ["kubectl", "kustomize", str(place)]
    rendered = (
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        if place.is_dir()
        else place.read_text()
    )
    yield from yaml.safe_load_all(rendered)
