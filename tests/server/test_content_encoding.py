from __future__ import annotations

import gzip
import zlib

import pytest
import requests

from audio_classifier.server.content_encoding import FREE_BYTES, MAX_MEMBERS
from tests.server.client import PREDICT, check_error, labels_of
from tests.support.serving import serving
from tests.support.sounds import busy, encode


def post(url: str, body: bytes, encoding: str = "gzip", media_type: str = "audio/wav") -> requests.Response:
    headers = {"Content-Type": media_type, "Content-Encoding": encoding}
    return requests.post(url + PREDICT, body, headers=headers, timeout=30)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_gzip_body_is_decoded(url: str, rain: bytes, encoding: str) -> None:
    response = post(url, gzip.compress(rain), encoding)
    assert "Rain" in labels_of(response.json())
    assert post(url, rain, "identity").json() == response.json()


def test_gzip_body_may_be_a_form_or_have_several_members(url: str, rain: bytes) -> None:
    form = requests.Request("POST", url + PREDICT, files={"audio": rain}).prepare()
    assert isinstance(form.body, bytes)
    response = post(url, gzip.compress(form.body), media_type=str(form.headers["Content-Type"]))
    assert response.status_code == 200, response.text
    members = gzip.compress(rain[:1000]) + gzip.compress(b"") + gzip.compress(rain[1000:])
    assert post(url, members).json() == response.json()


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "é"])
def test_other_encoding_is_refused(url: str, rain: bytes, encoding: str) -> None:
    response = post(url, rain, encoding)
    assert "gzip" in check_error(response, 415, "Content-Encoding")


def test_body_that_is_not_gzip_is_refused(url: str, rain: bytes) -> None:
    check_error(post(url, rain), 400, "cannot be decoded as gzip")
    compressed = gzip.compress(rain)
    check_error(post(url, compressed[:-20]), 400, "truncated")
    check_error(post(url, compressed[:-8] + bytes(8)), 400, "cannot be decoded as gzip")
    check_error(post(url, gzip.compress(b"") * (MAX_MEMBERS + 1)), 400, f"at most {MAX_MEMBERS} gzip members")
    check_error(post(url, b""), 422, "no body")


def test_decoded_body_is_refused_when_larger_than_the_limit(rain: bytes) -> None:
    with serving(max_upload_bytes=100_000) as (url, _):
        assert post(url, gzip.compress(encode(busy(2, 16_000), 16_000))).status_code == 200
        compressed = gzip.compress(rain[:1000] + bytes(100_000))
        assert len(compressed) < 2000
        assert "FLAC" in check_error(post(url, compressed), 413, "100000 bytes after decoding")


def test_silence_is_decoded_but_a_bomb_is_refused(url: str) -> None:
    silence = encode(busy(10, 44_100, channels=2) * 0, 44_100)
    assert len(silence) < FREE_BYTES
    assert post(url, gzip.compress(silence)).status_code == 200
    compressor = zlib.compressobj(wbits=31)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(32)) + compressor.flush()
    assert len(bomb) < 40_000
    check_error(post(url, bomb), 413, "at most 100 times as large")
