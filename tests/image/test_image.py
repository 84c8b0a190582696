"""Tests of the image: its content, and the HTTP server as an unprivileged user."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import requests

from devtools.ports import wait_until
from tests.image.container import ENGINE, Image, Server

pytestmark = pytest.mark.image
MAX_ADDED_BYTES = 300_000_000
PACKAGES = ("/opt/python", "/var/task")
FOLDERS = (*PACKAGES, "/opt/model")


@pytest.fixture(scope="module")
def server(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with image.serving(tmp_path_factory.mktemp("image") / "log") as running:
        yield running


def printed(image: Image, script: str, *, user: str = "10001") -> list[str]:
    """Return the lines that a shell script prints in a container without mounts or a read-only root."""
    run = image.run("-c", script, entrypoint="sh", hardened=False, options=("--user", user))
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode().splitlines()


def contents(image: Image) -> set[str]:
    """Return the paths of all files in the image, except for those that an engine adds."""
    files = printed(image, "find / -xdev -not -type d", user="0")
    return {path for path in files if not path.startswith(("/dev/", "/etc/", "/proc/", "/run/", "/sys/"))}


def test_image_adds_less_than_300_mb_to_its_base(image: Image, base_image: Image) -> None:
    added = image.inspect()["Size"] - base_image.inspect()["Size"]
    assert 0 < added < MAX_ADDED_BYTES


def test_image_has_the_tag_of_the_manifests(image: Image) -> None:
    tags = [name.rpartition("/")[2] for name in image.inspect()["RepoTags"]]
    assert f"{image.name.partition(':')[0]}:{version('serverless-audio-classifier')}" in tags


def test_image_has_user_port_and_labels(image: Image) -> None:
    config = image.inspect()["Config"]
    assert config["User"] == "10001:10001"
    assert [*config["ExposedPorts"]] == ["5000/tcp"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == version("serverless-audio-classifier")
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.title"]


def test_image_adds_files_only_in_its_own_folders(image: Image, base_image: Image) -> None:
    added = contents(image) - contents(base_image)
    assert {path for path in added if not path.startswith(FOLDERS)} == set()
    assert len(added) > 1000
    assert printed(image, f"find {' '.join(FOLDERS)} -perm /022 -not -type l", user="0") == []


def test_packages_are_byte_compiled(image: Image) -> None:
    for packages in PACKAGES:
        sources = printed(image, f"cd {packages} && find . -name '*.py' | sort")
        compiled = printed(image, f"cd {packages} && find . -name '*.pyc' | sort")
        folders = {path.rpartition("/")[0] for path in sources}
        assert len(sources) > 30
        assert {path.rpartition("/__pycache__/")[0] for path in compiled} == folders
        assert len(compiled) >= 0.99 * len(sources)


def test_unprivileged_user_cannot_write_to_the_image(image: Image, server: Server) -> None:
    tries = "for folder in / /opt /opt/model /var/task; do touch $folder/x 2> /dev/null && echo $folder; done"
    writes = f"id -u; {tries}; true"
    assert printed(image, writes) == ["10001"]
    assert server.execute("sh", "-c", writes).stdout.decode().split() == ["10001"]
    assert server.execute("touch", "/x").returncode != 0


def test_server_classifies_a_recording_and_serves_the_pages(server: Server, assets: Path) -> None:
    with (assets / "rain.wav").open("rb") as file:
        answer = requests.post(f"{server.url}/model/predict", files={"audio": file}, timeout=30)
    assert answer.status_code == 200
    assert "Rain" in [prediction["label"] for prediction in answer.json()["predictions"]]
    # The pages and their resources.
    for path in ("", "static/swagger-ui-bundle.js", "demo", "demo/demo.js", "demo/town.wav"):
        assert requests.get(f"{server.url}/{path}", timeout=5).status_code == 200


def test_built_in_model_runs_in_512_mb_under_load(image: Image, assets: Path, tmp_path: Path) -> None:
    content = (assets / "rain.wav").read_bytes()
    with image.serving(tmp_path / "log", "--memory", "512m", "--memory-swap", "512m") as server:

        def post(_: int) -> int:
            url, headers = f"{server.url}/model/predict", {"Content-Type": "audio/wav"}
            return requests.post(url, data=content, headers=headers, timeout=30).status_code

        with ThreadPoolExecutor(8) as pool:
            assert {*pool.map(post, range(32))} == {200}
        limits = server.execute(
            "sh", "-c", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit*"
        )
        assert str(512 << 20).encode() in limits.stdout.split()


def test_health_check_fails_only_without_a_server(image: Image, server: Server) -> None:
    described = image.inspect()
    # Docker has the health check in Config, podman at the top level.
    kind, *command = {**described["Config"], **described}["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert server.execute(*command).returncode == 0
    assert image.run(*command[1:], entrypoint=command[0], environment={"PORT": "1"}).returncode != 0


def test_container_runs_commands_of_the_command_line(image: Image, assets: Path) -> None:
    run = image.run("classify", "-", "--format", "json", stdin=(assets / "rain.wav").read_bytes())
    assert "Rain" in [prediction["label"] for prediction in json.loads(run.stdout)["predictions"]]
    assert run.stderr == b""


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_invalid_port_exits_with_usage_error(image: Image, port: str) -> None:
    run = image.run(environment={"PORT": port})
    assert run.returncode == 2
    assert b"--port" in run.stderr
    assert b"Traceback" not in run.stderr


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.4])
def test_container_stops_when_signalled_during_start(image: Image, after_s: float) -> None:
    name = f"test-{uuid.uuid4().hex}"
    process = subprocess.Popen(image.command(options=("--name", name)), stderr=subprocess.DEVNULL)
    listed = [ENGINE, "ps", "--quiet", "--filter", f"name={name}"]
    running = lambda: bool(subprocess.run(listed, capture_output=True, check=True).stdout)  # noqa: E731
    wait_until(running, alive=lambda: process.poll() is None)
    time.sleep(after_s)
    begin = time.monotonic()
    subprocess.run([ENGINE, "stop", "--time", "20", name], capture_output=True, check=True)
    assert time.monotonic() - begin < 10
    assert process.wait(10) in (0, 128 + signal.SIGTERM)


def test_server_finishes_its_requests_when_signalled_under_load(
    image: Image, assets: Path, tmp_path: Path
) -> None:
    content = (assets / "rain.wav").read_bytes()
    started = threading.Barrier(5)
    signalled = threading.Event()
    statuses: list[int] = []
    lost: list[str] = []

    def slowly() -> Any:
        yield content[:1000]
        started.wait(10)
        assert signalled.wait(10)
        time.sleep(0.2)
        yield content[1000:]

    with image.serving(tmp_path / "log") as server, ThreadPoolExecutor(8) as pool:
        url, headers = f"{server.url}/model/predict", {"Content-Type": "audio/wav"}

        def send_requests() -> None:
            while not signalled.is_set():
                try:
                    answer = requests.post(url, data=content, headers=headers, timeout=30)
                    statuses.append(answer.status_code)
                except requests.ConnectionError as error:
                    if not signalled.is_set():
                        lost.append(str(error))

        load = [pool.submit(send_requests) for _ in range(4)]
        slow = [pool.submit(requests.post, url, data=slowly(), headers=headers, timeout=30) for _ in range(4)]
        started.wait(10)
        wait_until(lambda: len(statuses) > 4)
        signalled.set()
        server.signal("TERM")
        assert [request.result().status_code for request in slow] == [200] * 4
        for worker in load:
            worker.result()
        assert server.process.wait(10) in (0, 128 + signal.SIGTERM)
    assert lost == []
    assert {*statuses} <= {200}
