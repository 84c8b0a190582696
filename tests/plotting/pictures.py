"""Read properties of picture files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path


def png_size(path: Path) -> tuple[int, int]:
    """Return the width and height of a PNG file, which must be complete."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def svg_texts(path: Path) -> list[str]:
    """Return the texts of an SVG file in the order in which they are drawn."""
    namespace = "{http://www.w3.org/2000/svg}"
    return ["".join(text.itertext()) for text in ET.parse(path).getroot().iter(f"{namespace}text")]
