from __future__ import annotations

import base64

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


def test_repeated_filters_of_form_and_query_add_up(url: str, rain: bytes) -> None:
    response = requests.post(
        url + PREDICT,
        files=[("audio", rain), ("filter", (None, "Rain")), ("filter", (None, "Gunshot, gunfire"))],
        params=[("filter", "Dog"), ("filter", "Speech,Siren")],
        timeout=30,
    )
    assert set(labels_of(response.json())) == {"Rain", "Gunshot, gunfire", "Dog", "Speech", "Siren"}


def test_parameter_with_two_values_is_refused(url: str, rain: bytes) -> None:
    assert send(url, rain, field("top_k", b"3") + field("top_k", b"3")).status_code == 200
    response = send(url, rain, field("top_k", b"3") + field("top_k", b"2"))
    assert "once" in check_error(response, 422, "top_k: must have one value")
    response = requests.post(
        url + PREDICT, files={"audio": rain}, data={"top_k": 3}, params={"top_k": 2}, timeout=5
    )
    check_error(response, 422, "top_k: must have one value")


def test_misspelled_field_is_refused_and_an_unknown_one_is_ignored(url: str, rain: bytes) -> None:
    assert send(url, rain, field("comment", b"x")).status_code == 200
    assert "'filter'" in check_error(send(url, rain, field("filter[]", b"Dog")), 422, "'filter[]'")


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="audio"',
        "form-data; name=audio",
        "form-data; name=\"audio\"; filename*=UTF-8''%e2%82%ac.wav",
        'form-data; name="audio"; filename="a.wav"; filename*=UTF-8\'\'a.wav',
    ],
)
def test_audio_needs_no_plain_file_name(url: str, rain: bytes, disposition: str) -> None:
    body = f"--b\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + rain + b"\r\n--b--"
    response = requests.post(url + PREDICT, body, headers={"Content-Type": FORM}, timeout=30)
    assert response.status_code == 200, response.text
    assert "Rain" in labels_of(response.json())


def test_file_in_another_field_is_named(url: str, rain: bytes) -> None:
    response = requests.post(url + PREDICT, files={"audio[]": rain}, timeout=5)
    assert "`audio`" in check_error(response, 422, "audio: the multipart body has no file in this field")
    assert "'audio[]'" in response.json()["message"]
    disposition = b"Content-Disposition: form-data; name=\"x; filename*=y\"; filename*=UTF-8''a"
    body = b"--b\r\n" + disposition + b"\r\n\r\nx\r\n--b--\r\n"
    response = requests.post(url + PREDICT, body, headers={"Content-Type": FORM}, timeout=5)
    check_error(response, 422, "'x; filename*=y'")


def test_wrong_boundary_is_explained(url: str, rain: bytes) -> None:
    hint = check_error(
        send(url, rain, b"", "multipart/form-data; boundary=c"),
        400,
        "with the boundary '--c', got '--b",
    )
    assert "Content-Type" in hint
    hint = check_error(send(url, rain, b"", "multipart/form-data"), 400, "no boundary")
    assert "Content-Type" in hint


def test_form_as_base64_text_is_explained(url: str, rain: bytes) -> None:
    body = base64.b64encode(b"--b\r\nContent-Disposition: form-data")
    response = requests.post(url + PREDICT, body, headers={"Content-Type": FORM}, timeout=5)
    assert "isBase64Encoded" in check_error(response, 400, "must begin with the boundary")


@pytest.mark.parametrize("kept", [0, 3, 30, 90, 1000, -3, -8])
def test_truncated_form_is_explained(url: str, rain: bytes, kept: int) -> None:
    file = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n' + rain
    whole = file + b"\r\n--b--\r\n"
    response = requests.post(url + PREDICT, whole[:kept], headers={"Content-Type": FORM}, timeout=5)
    assert check_error(response, 400, "truncated" if kept else "empty")


def test_form_with_too_many_fields_is_refused(url: str, rain: bytes) -> None:
    fields = [field(f"x{i}", b"y") for i in range(21)]
    assert send(url, rain, b"".join(fields[:20])).status_code == 200
    hint = check_error(send(url, rain, b"".join(fields)), 400, "at most 20 fields")
    assert "parameters" in hint


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
    second = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="b"\r\n\r\nb\r\n'
    assert "each recording" in check_error(send(url, rain, second), 400, "a second one in the field 'audio'")


def test_part_without_a_name_is_refused(url: str, rain: bytes) -> None:
    check_error(send(url, rain, b"--b\r\nContent-Disposition: form-data\r\n\r\nb\r\n"), 400, "no name")


def test_boundary_that_is_too_long_is_refused(url: str) -> None:
    check_error(send(url, b"", b"", f"multipart/form-data; boundary={'b' * 300}"), 400, "multipart")
