"""Tests that the manifests for Kubernetes and Knative agree with the code and the image.

The manifests are plain files and kustomizations as kubectl renders them.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml

from audio_classifier.cli.parser import build_parser
from audio_classifier.cli.serve import DRAIN_S
from audio_classifier.server.app import create_app
from audio_classifier.service.settings import PREFIX, Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from tests.infra.manifests import INFRA, ROOT, Document, documents, kustomizations

DOCKERFILE = (ROOT / "Dockerfile.lambda").read_text(encoding="utf-8")
PORT = build_parser().parse_args(["serve"]).port
KNATIVE_SERVICE = "serving.knative.dev/v1"
UNITS = {"m": 1e-3, "": 1, "Mi": 1 << 20, "Gi": 1 << 30}

FILES = (INFRA / "kubernetes" / "max-audio-classifier.yaml", INFRA / "knative" / "service.yaml")
PATHS = (*FILES, *kustomizations())
VERSION = version("serverless-audio-classifier")

Cluster: TypeAlias = list[Document]


def render(path: Path) -> Cluster:
    """Return all documents of a file or a rendered kustomization."""
    if path.is_dir() and shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return list(documents(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(INFRA))


@pytest.fixture(scope="module", params=PATHS, ids=name_of)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return render(request.param)


@pytest.fixture(scope="module", params=[path for path in PATHS if "kubernetes" in name_of(path)], ids=name_of)
def kubernetes(request: pytest.FixtureRequest) -> Cluster:
    return render(request.param)


@pytest.fixture(scope="module", params=[path for path in PATHS if "knative" in name_of(path)], ids=name_of)
def knative(request: pytest.FixtureRequest) -> Cluster:
    return render(request.param)


def of_kind(cluster: Cluster, kind: str) -> Document:
    """Return the only document of a kind."""
    (found,) = [document for document in cluster if document["kind"] == kind]
    return found


def workload(cluster: Cluster) -> Document:
    """Return the document with the container: a Deployment or a Knative service."""
    (found,) = [
        document
        for document in cluster
        if document["kind"] == "Deployment" or document["apiVersion"] == KNATIVE_SERVICE
    ]
    return found


def pod(cluster: Cluster) -> Document:
    spec: Document = workload(cluster)["spec"]["template"]["spec"]
    return spec


def container(cluster: Cluster) -> Document:
    (only,) = pod(cluster)["containers"]
    return dict(only)


def environment(cluster: Cluster) -> dict[str, str]:
    """Return the variables with a value, and a value for those of secrets."""
    return {
        entry["name"]: entry.get("value", "of-a-secret-with-a-key") for entry in container(cluster)["env"]
    }


def image_environment() -> dict[str, str]:
    return dict(re.findall(rf"({PREFIX}\w+)=(\S+)", DOCKERFILE))


def routes(cluster: Cluster) -> set[str]:
    """Return the paths of the application's routes with the settings of its container."""
    app = create_app(SharedClassifier(Settings.from_environment(environment(cluster))))
    return {*app.openapi()["paths"]}


def amount(quantity: str) -> float:
    """Convert a Kubernetes quantity such as ``8Gi`` or ``2800m`` to a number."""
    number, unit = re.fullmatch(r"(\d+)(m|Mi|Gi|)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def test_every_manifest_is_part_of_a_kustomization() -> None:
    used = {
        (file.parent / resource).resolve()
        for file in INFRA.rglob("kustomization.yaml")
        for resource in yaml.safe_load(file.read_text()).get("resources", [])
    }
    folders = (INFRA / "kubernetes", INFRA / "knative", INFRA / "overlays")
    files = {path for folder in folders for path in folder.rglob("*.yaml")}
    assert {path for path in files if path.name != "kustomization.yaml"} == {*filter(Path.is_file, used)}


def test_every_environment_variable_is_a_valid_setting(cluster: Cluster) -> None:
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    assert {name for name in environment(cluster) if name.startswith(PREFIX)} <= known
    assert Settings.from_environment(environment(cluster)).bundle == environment(cluster)[PREFIX + "BUNDLE"]


def test_bundle_is_the_one_of_the_image_or_remote(cluster: Cluster) -> None:
    bundle = environment(cluster)[PREFIX + "BUNDLE"]
    assert bundle == image_environment()[PREFIX + "BUNDLE"] or re.match("(s3|https)://", bundle)


def test_image_and_labels_have_the_current_version(cluster: Cluster) -> None:
    assert container(cluster)["image"] == f"serverless-audio-classifier:{VERSION}"
    labels = workload(cluster)["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == VERSION


def test_versions_in_all_files_of_the_deployment_are_the_current_one() -> None:
    current = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    stated = r"(?:newTag: |/version: |serverless-audio-classifier:|image\.version=|\?ref=v)\W?(\d+\.[\w.]+)"
    files = [ROOT / "Dockerfile.lambda", *INFRA.rglob("*.yaml"), *INFRA.rglob("*.md")]
    found = [
        (file.name, match) for file in files for match in re.findall(stated, file.read_text(encoding="utf-8"))
    ]
    assert {name for name, _ in found} >= {
        "Dockerfile.lambda",
        "kustomization.yaml",
        *(file.name for file in FILES),
    }
    assert {stated_version for _, stated_version in found} == {current}


def test_probes_request_existing_routes(cluster: Cluster) -> None:
    (port,) = container(cluster)["ports"]
    assert port["containerPort"] == PORT
    paths = {}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        request = container(cluster)[probe]["httpGet"]
        assert request["port"] in (PORT, port["name"])
        paths[probe] = request["path"]
    assert {*paths.values()} <= routes(cluster)
    # The liveness probe must not kill a process that is still loading its model.
    assert paths["livenessProbe"] != paths["readinessProbe"] == paths["startupProbe"]


def test_grace_period_is_longer_than_the_drain_time(kubernetes: Cluster) -> None:
    pause_s = container(kubernetes)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(kubernetes)["terminationGracePeriodSeconds"] > pause_s + DRAIN_S


def test_knative_timeout_is_longer_than_the_drain_time(knative: Cluster) -> None:
    # Knative also uses this timeout as the pod's grace period.
    assert pod(knative)["timeoutSeconds"] > DRAIN_S


def test_container_runs_without_privileges(cluster: Cluster) -> None:
    context = pod(cluster).get("securityContext", {}) | container(cluster)["securityContext"]
    *_, user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user
    assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(cluster)["automountServiceAccountToken"] is False


def test_volume_has_space_for_all_concurrent_uploads(cluster: Cluster) -> None:
    (mount,) = container(cluster)["volumeMounts"]
    (volume,) = pod(cluster)["volumes"]
    assert mount["name"] == volume["name"]
    assert Path(image_environment()[PREFIX + "CACHE_DIR"]).is_relative_to(mount["mountPath"])
    settings = Settings.from_environment(environment(cluster) | {PREFIX + "THREADS": "4"})
    uploads_bytes = (settings.max_concurrency + settings.max_queue) * settings.max_upload_bytes
    assert amount(volume["emptyDir"]["sizeLimit"]) > uploads_bytes


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_limits_are_8_gib_and_4_cpus_as_in_the_original(file: Path) -> None:
    limits = container([*documents(file)])["resources"]["limits"]
    assert (amount(limits["memory"]), amount(limits["cpu"])) == (8 << 30, 4)


def test_container_concurrency_is_the_concurrency_of_the_server(knative: Cluster) -> None:
    cpus = amount(container(knative)["resources"]["limits"]["cpu"])
    settings = Settings.from_environment({PREFIX + "THREADS": f"{cpus:.0f}"})
    assert pod(knative)["containerConcurrency"] == settings.max_concurrency


def test_autoscaler_target_is_reached_by_pods_that_only_get_the_cpu_they_request(kubernetes: Cluster) -> None:
    (metric,) = of_kind(kubernetes, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["resource"]["name"] == "cpu"
    target = metric["resource"]["target"]
    assert target["type"] == "Utilization"  # of the request
    assert 50 <= target["averageUtilization"] <= 80
    assert container(kubernetes)["resources"]["requests"]["cpu"]


def test_disk_limit_includes_the_volume_and_the_logs(cluster: Cluster) -> None:
    resources = container(cluster)["resources"]
    requested, limit = (amount(resources[kind]["ephemeral-storage"]) for kind in ("requests", "limits"))
    (volume,) = pod(cluster)["volumes"]
    logs_bytes = 5 * 10 << 20  # the kubelet's defaults of containerLogMaxFiles and containerLogMaxSize
    assert limit >= amount(volume["emptyDir"]["sizeLimit"]) + logs_bytes
    assert requested <= limit


def test_selectors_match_the_labels_of_pods(kubernetes: Cluster) -> None:
    labels = workload(kubernetes)["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        of_kind(kubernetes, "Service")["spec"]["selector"],
        workload(kubernetes)["spec"]["selector"]["matchLabels"],
        of_kind(kubernetes, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in pod(kubernetes)["topologySpreadConstraints"]),
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)


def test_service_and_prometheus_use_the_port_of_the_container(kubernetes: Cluster) -> None:
    service = of_kind(kubernetes, "Service")["spec"]
    (service_port,), (port,) = service["ports"], container(kubernetes)["ports"]
    assert (service_port["port"], service_port["targetPort"]) == (PORT, port["name"])
    annotations = workload(kubernetes)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(PORT)
    assert annotations["prometheus.io/path"] in routes(kubernetes)


def test_references_between_documents_resolve(cluster: Cluster) -> None:
    names = {(document["apiVersion"], document["kind"], document["metadata"]["name"]) for document in cluster}
    assert len(names) == len(cluster)
    for document in cluster:
        spec = document.get("spec", {})
        references = [
            spec.get("scaleTargetRef"),
            spec.get("sink", {}).get("ref"),
            spec.get("subscriber", {}).get("ref"),
            spec.get("delivery", {}).get("deadLetterSink", {}).get("ref"),
        ]
        for reference in filter(None, references):
            assert (reference["apiVersion"], reference["kind"], reference["name"]) in names
        if document["kind"] == "Trigger":
            assert ("eventing.knative.dev/v1", "Broker", spec["broker"]) in names
    if account := pod(cluster).get("serviceAccountName"):
        assert ("v1", "ServiceAccount", account) in names


def test_events_route_exists_only_inside_the_cluster(knative: Cluster) -> None:
    triggers = [document for document in knative if document["kind"] == "Trigger"]
    visibility = workload(knative)["metadata"]["labels"].get("networking.knative.dev/visibility")
    assert routes(knative) & {"/events"} == {trigger["spec"]["subscriber"]["uri"] for trigger in triggers}
    assert (visibility == "cluster-local") is bool(triggers)


def test_knative_service_uses_only_supported_fields(knative: Cluster) -> None:
    assert {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"} & {*environment(knative)} == set()
    (port,) = container(knative)["ports"]
    assert port["name"] in ("http1", "h2c")
    assert {"securityContext", "terminationGracePeriodSeconds", "topologySpreadConstraints"} & {
        *pod(knative)
    } == set()
    assert "lifecycle" not in container(knative)
