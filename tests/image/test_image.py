"""The image that is deployed: what is in it, and that it serves over HTTP as an unprivileged user."""

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
PLACES = (*PACKAGES, "/opt/model")


@pytest.fixture(scope="module")
def server(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with image.serving(tmp_path_factory.mktemp("image") / "log") as running:
        yield running


def printed(image: Image, script: str, *, user: str = "10001") -> list[str]:
    """What a shell in it prints; not on a read-only root, and nothing hidden by a mount."""
    run = image.run("-c", script, entrypoint="sh", carefully=False, options=("--user", user))
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode().splitlines()


def contents(image: Image) -> set[str]:
    """All of its files, but for what an engine puts there."""
    files = printed(image, "find / -xdev -not -type d", user="0")
    return {path for path in files if not path.startswith(("/dev/", "/etc/", "/proc/", "/run/", "/sys/"))}


def test_it_adds_little_to_its_base(image: Image, base_image: Image) -> None:
    added = image.inspect()["Size"] - base_image.inspect()["Size"]
    assert 0 < added < MAX_ADDED_BYTES


def test_it_has_the_name_that_manifests_ask_for(image: Image) -> None:
    tags = [name.rpartition("/")[2] for name in image.inspect()["RepoTags"]]
    assert f"{image.name.partition(':')[0]}:{version('serverless-audio-classifier')}" in tags


def test_it_says_what_it_is(image: Image) -> None:
    config = image.inspect()["Config"]
    assert config["User"] == "10001:10001"
    assert [*config["ExposedPorts"]] == ["5000/tcp"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == version("serverless-audio-classifier")
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.title"]


def test_nothing_else_is_left_of_its_making(image: Image, base_image: Image) -> None:
    added = contents(image) - contents(base_image)
    assert {path for path in added if not path.startswith(PLACES)} == set()
    assert len(added) > 1000
    assert printed(image, f"find {' '.join(PLACES)} -perm /022 -not -type l", user="0") == []


def test_it_is_compiled_beforehand(image: Image) -> None:
    for packages in PACKAGES:
        sources = printed(image, f"cd {packages} && find . -name '*.py' | sort")
        compiled = printed(image, f"cd {packages} && find . -name '*.pyc' | sort")
        folders = {path.rpartition("/")[0] for path in sources}
        assert len(sources) > 30
        assert {path.rpartition("/__pycache__/")[0] for path in compiled} == folders
        assert len(compiled) >= 0.99 * len(sources)


def test_it_may_write_nothing_of_itself(image: Image, server: Server) -> None:
    tries = "for place in / /opt /opt/model /var/task; do touch $place/x 2> /dev/null && echo $place; done"
    writes = f"id -u; {tries}; true"
    assert printed(image, writes) == ["10001"]
    assert server.execute("sh", "-c", writes).stdout.decode().split() == ["10001"]
    assert server.execute("touch", "/x").returncode != 0


def test_it_classifies_over_http(server: Server, assets: Path) -> None:
    with (assets / "rain.wav").open("rb") as sound:
        answer = requests.post(f"{server.url}/model/predict", files={"audio": sound}, timeout=30)
    assert answer.status_code == 200
    assert "Rain" in [prediction["label"] for prediction in answer.json()["predictions"]]
    # The pages, and what they need.
    for path in ("", "static/swagger-ui-bundle.js", "demo", "demo/demo.js", "demo/town.wav"):
        assert requests.get(f"{server.url}/{path}", timeout=5).status_code == 200


def test_512_mb_are_enough_for_the_built_in_model(image: Image, assets: Path, tmp_path: Path) -> None:
    content = (assets / "rain.wav").read_bytes()
    with image.serving(tmp_path / "log", "--memory", "512m", "--memory-swap", "512m") as server:

        def ask(_: int) -> int:
            url, headers = f"{server.url}/model/predict", {"Content-Type": "audio/wav"}
            return requests.post(url, data=content, headers=headers, timeout=30).status_code

        with ThreadPoolExecutor(8) as pool:
            assert {*pool.map(ask, range(32))} == {200}
        limits = server.execute(
            "sh", "-c", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit*"
        )
        assert str(512 << 20).encode() in limits.stdout.split()


def test_its_health_check_tells_well_from_ill(image: Image, server: Server) -> None:
    described = image.inspect()
    kind, *command = {**described["Config"], **described}["Healthcheck"][
        "Test"
    ]  # Docker's place, and podman's
    assert kind == "CMD"
    assert server.execute(*command).returncode == 0
    assert image.run(*command[1:], entrypoint=command[0], environment={"PORT": "1"}).returncode != 0


def test_it_runs_the_command_line(image: Image, assets: Path) -> None:
    run = image.run("classify", "-", "--format", "json", stdin=(assets / "rain.wav").read_bytes())
    assert "Rain" in [prediction["label"] for prediction in json.loads(run.stdout)["predictions"]]
    assert run.stderr == b""


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_a_port_that_is_none_is_explained(image: Image, port: str) -> None:
    run = image.run(environment={"PORT": port})
    assert run.returncode == 2
    assert b"--port" in run.stderr
    assert b"Traceback" not in run.stderr


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.4])
def test_told_to_stop_while_it_starts_it_stops(image: Image, after_s: float) -> None:
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


def test_told_to_stop_under_load_it_finishes_what_it_has_begun(
    image: Image, assets: Path, tmp_path: Path
) -> None:
    content = (assets / "rain.wav").read_bytes()
    begun = threading.Barrier(5)
    told = threading.Event()
    statuses: list[int] = []
    lost: list[str] = []

    def slowly() -> Any:
        yield content[:1000]
        begun.wait(10)
        assert told.wait(10)
        time.sleep(0.2)
        yield content[1000:]

    with image.serving(tmp_path / "log") as server, ThreadPoolExecutor(8) as pool:
        url, headers = f"{server.url}/model/predict", {"Content-Type": "audio/wav"}

        def keep_asking() -> None:
            while not told.is_set():
                try:
                    answer = requests.post(url, data=content, headers=headers, timeout=30)
                    statuses.append(answer.status_code)
                except requests.ConnectionError as error:
                    if not told.is_set():
                        lost.append(str(error))

        load = [pool.submit(keep_asking) for _ in range(4)]
        slow = [pool.submit(requests.post, url, data=slowly(), headers=headers, timeout=30) for _ in range(4)]
        begun.wait(10)
        time.sleep(0.5)
        told.set()
        server.signal("TERM")
        assert [request.result().status_code for request in slow] == [200] * 4
        for worker in load:
            worker.result()
        assert server.process.wait(10) in (0, 128 + signal.SIGTERM)
    assert lost == []
    assert len(statuses) > 4
    assert {*statuses} <= {200}
