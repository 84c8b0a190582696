"""Reduce AudioSet's ontology to a table: ``python assets/make_ontology.py ontology.json [OUT.csv]``.

``ontology.json`` is that of https://github.com/audioset/ontology (CC BY-SA 4.0).  The table keeps the id, the
name and the ids of the children of each node, in the same order; descriptions and examples are omitted.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path
from typing import Final

from audio_classifier.model.ontology import HEADER

TABLE: Final = Path(__file__).with_name("audioset_ontology.csv")
# Commit 1e85b88a094054c66096a18073b76cb71f5b1436.
SHA256: Final = "9c685f4403eecc3ca9be37fd7285cf212feaaea6ff7229d3e7ca89e0d1f2d15d"


def write_table(ontology: Path, table: Path) -> None:
    """Write the table of an ``ontology.json``."""
    nodes = json.loads(ontology.read_bytes())
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        rows.writerows((node["id"], node["name"], " ".join(node["child_ids"])) for node in nodes)


def main() -> None:
    ontology = Path(sys.argv[1])
    if hashlib.sha256(ontology.read_bytes()).hexdigest() != SHA256:
        print(f"{ontology} is not the version that the committed table was made from", file=sys.stderr)
    write_table(ontology, Path(sys.argv[2]) if len(sys.argv) > 2 else TABLE)


if __name__ == "__main__":
    main()
