"""Random JSON documents, among them some that resemble results."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)


def _fields(*names: str) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=len(names)) | VALUES


# A result in which any value may have any type.
ALMOST_RESULTS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["ok", "error"]) | VALUES,
        "source": _fields("bucket", "key", "file", "version_id", "etag", "size", "last_modified"),
        "model": _fields("digest", "version", "bundle"),
        "parameters": VALUES,
        "message": VALUES,
        "error": VALUES,
        "code": VALUES,
        "timeline": VALUES,
    },
)
DOCUMENTS = VALUES | ALMOST_RESULTS
