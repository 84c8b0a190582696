from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, closing
from io import BytesIO
from typing import BinaryIO

import pytest

from audio_classifier.batch.inputs import find_inputs, is_single
from audio_classifier.batch.urls import UrlInput, is_url, url_input
from audio_classifier.errors import InvalidParameterError

SECRET = "X-Amz-Signature=0123"


def fetch(url: str) -> AbstractContextManager[BinaryIO]:
    return closing(BytesIO(url.encode()))


def test_url_is_an_input_of_its_own() -> None:
    (found,) = find_inputs(["HTTPS://host/in/a.wav"], object, fetch=fetch)
    assert isinstance(found, UrlInput)
    assert found.name == "https://host/in/a.wav"
    assert found.result_key == "_url/https/host/in/a.wav"
    with found.open() as source:
        sha256 = hashlib.sha256(b"https://host/in/a.wav").hexdigest()
        assert found.identify(source) == {"url": found.name, "size": 21, "sha256": sha256}


@pytest.mark.parametrize("name", ["https://host/a.wav", "http://host:8080", "HTTP://host/"])
def test_url_is_recognised_by_its_scheme(name: str) -> None:
    assert is_url(name)
    assert is_single(name)
    assert not is_url(name.replace("://", ":/"))


def test_query_is_downloaded_but_neither_shown_nor_stored() -> None:
    inputs = [url_input(f"https://host/a.wav?{query}#x", fetch) for query in (SECRET, "id=1", "id=2")]
    assert inputs[0].url == f"https://host/a.wav?{SECRET}"
    with inputs[0].open() as source:
        assert SECRET not in f"{inputs[0].name} {inputs[0].result_key} {inputs[0].identify(source)}"
    assert len({url.name for url in inputs}) == len({url.result_key for url in inputs}) == 3


@pytest.mark.parametrize(
    "name",
    [
        "https://",
        "https:///a.wav",
        "http://[::1/a.wav",
        "http://host:port/a.wav",
        "https://user:secret@host/a.wav",
        "https://host/a\n.wav",
        f"https://host:0/a?{SECRET}",
    ],
)
def test_invalid_url_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="URL") as caught:
        url_input(name, fetch)
    assert "secret" not in str(caught.value)
    assert SECRET not in str(caught.value)
