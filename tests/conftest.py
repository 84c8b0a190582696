"""Fixtures for all tests: the built-in classifier, servers, and data that only developers have."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_classifier import AudioClassifier
from tests.support.clip_bundles import make_clip_bundle
from tests.support.servers import FileServer

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def assets() -> Path:
    return ROOT / "assets"


@pytest.fixture(scope="session")
def compact(assets: Path) -> Path:
    return assets / "bundles" / "compact"


@pytest.fixture(scope="session")
def classifier() -> AudioClassifier:
    return AudioClassifier.open()


@pytest.fixture(scope="session")
def clip_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle whose network reads clips, with random weights."""
    return make_clip_bundle(tmp_path_factory.mktemp("clip-bundle"))


@pytest.fixture(scope="session")
def golden_data() -> Path:
    """Return a folder next to the checkout with golden data and recordings that cannot be published."""
    if not SHARED.is_dir():
        pytest.skip("the golden data of the original are not available on this machine")
    return SHARED


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """Serve the built-in bundle for requests that change no state, and yield the URL of the ready server."""
    import requests

    from tests.support.serving import serving

    with serving() as (address, _):
        while requests.get(f"{address}/readyz", timeout=5).status_code != 200:
            time.sleep(0.01)
        yield address


@pytest.fixture
def https_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Serve the files of a folder over TLS, with a certificate that only this process trusts."""
    with FileServer(tmp_path / "www") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
        monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
        yield server


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Run moto's S3 server on a local port and yield its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a client of that S3 with a bucket `models`; the code under test uses the same server."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "no_proxy": "localhost,127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    return client
