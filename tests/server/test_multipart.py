from __future__ import annotations

import pytest
import requests

from tests.server.client import PREDICT, check_error, labels_of

FORM = "multipart/form-data; boundary=b"


def send(url: str, content: bytes, fields: bytes, content_type: str = FORM) -> requests.Response:
    file = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n' + content
    body = fields + file + b"\r\n--b--\r\n"
    return requests.post(url + PREDICT, body, headers={"Content-Type": content_type}, timeout=30)


def field(name: str, value: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)


@pytest.mark.parametrize("charset", ["punycode", "utf-16", "idna", "rot13", "unknown", "latin-1"])
def test_declared_charset_is_ignored(url: str, rain: bytes, charset: str) -> None:
    response = send(url, rain, field("filter", b"Rain,Dog"), f"{FORM}; charset={charset}")
    assert response.status_code == 200, response.text
    assert set(labels_of(response.json())) == {"Rain", "Dog"}


def test_fields_are_utf_8(url: str, rain: bytes) -> None:
    response = send(url, rain, field("größe", b"1") + field("filter", "Größe".encode()))
    check_error(response, 422, "Größe")


def test_last_of_several_equal_fields_counts(url: str, rain: bytes) -> None:
    response = send(url, rain, field("top_k", b"3") + field("top_k", b"2"))
    assert len(response.json()["predictions"]) == 2


def test_form_with_too_many_fields_is_refused(url: str, rain: bytes) -> None:
    fields = [field(f"x{i}", b"y") for i in range(21)]
    assert send(url, rain, b"".join(fields[:20])).status_code == 200
    check_error(send(url, rain, b"".join(fields)), 400, "at most 20 fields")


def test_fields_that_are_too_long_together_are_refused(url: str, rain: bytes) -> None:
    half = b"y" * (128 << 10)
    assert send(url, rain, field("x", half) + field("y", half)).status_code == 200
    check_error(send(url, rain, field("x", half) + field("y", half + b"y")), 413, "262144 bytes")


def test_long_header_of_a_part_is_refused(url: str, rain: bytes) -> None:
    assert send(url, rain, field("x" * 4000, b"y")).status_code == 200
    check_error(send(url, rain, field("x" * 5000, b"y")), 400, "multipart")


def test_second_file_is_refused(url: str, rain: bytes) -> None:
    second = b'--b\r\nContent-Disposition: form-data; name="x"; filename="b"\r\n\r\nb\r\n'
    check_error(send(url, rain, second), 400, "at most one file")


def test_part_without_a_name_is_refused(url: str, rain: bytes) -> None:
    check_error(send(url, rain, b"--b\r\nContent-Disposition: form-data\r\n\r\nb\r\n"), 400, "no name")


def test_boundary_that_is_too_long_is_refused(url: str) -> None:
    check_error(send(url, b"", b"", f"multipart/form-data; boundary={'b' * 300}"), 400, "multipart")
