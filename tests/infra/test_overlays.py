"""Tests of single overlays: access from the network, API keys, and rollouts on Knative."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from audio_classifier.server.api_keys import is_open
from tests.infra.manifests import INFRA, Document
from tests.infra.test_kubernetes import (
    FILES,
    PORT,
    VERSION,
    Cluster,
    container,
    of_kind,
    render,
    workload,
)

OVERLAYS = INFRA / "overlays"
INSTANCE_METADATA = ("169.254.169.254", "fd00:ec2::254")
POD_IDENTITY = ("169.254.170.23", "fd00:ec2::23")


@pytest.fixture(scope="module")
def internal() -> Cluster:
    return render(OVERLAYS / "kubernetes-internal")


@pytest.fixture(scope="module")
def canary() -> Document:
    return workload(render(OVERLAYS / "knative-canary"))


def readme(folder: str) -> str:
    return (INFRA / folder / "README.md").read_text(encoding="utf-8")


def admits(rule: Document, address: str, port: int, protocol: str = "TCP") -> bool:
    """Return whether an egress rule admits connections to an address, which is outside the cluster."""
    blocks = [peer["ipBlock"]["cidr"] for peer in rule.get("to", [])]
    return {"port": port, "protocol": protocol} in rule["ports"] and (
        not blocks or any(ip_address(address) in ip_network(block) for block in blocks)
    )


def test_service_has_a_node_port_as_in_the_original_and_none_in_the_internal_overlay(
    internal: Cluster,
) -> None:
    assert of_kind(render(FILES[0]), "Service")["spec"]["type"] == "NodePort"
    assert of_kind(internal, "Service")["spec"]["type"] == "ClusterIP"


def test_network_policy_admits_clients_only_to_the_port_of_the_server(internal: Cluster) -> None:
    policy = of_kind(internal, "NetworkPolicy")["spec"]
    labels = workload(internal)["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    (ingress,) = policy["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": PORT}]


@pytest.mark.parametrize("address", ["52.218.0.1", "2a05:d050::1"])
def test_network_policy_admits_pods_to_dns_and_object_storage(internal: Cluster, address: str) -> None:
    rules = of_kind(internal, "NetworkPolicy")["spec"]["egress"]
    for port, protocol in ((53, "UDP"), (53, "TCP"), (443, "TCP")):
        assert any(admits(rule, address, port, protocol) for rule in rules)
    for port in (22, 80, PORT):
        assert not any(admits(rule, address, port) for rule in rules)


def test_network_policy_admits_pods_to_their_credentials_but_not_to_those_of_the_node(
    internal: Cluster,
) -> None:
    rules = of_kind(internal, "NetworkPolicy")["spec"]["egress"]
    assert all(any(admits(rule, address, 80) for rule in rules) for address in POD_IDENTITY)
    assert not any(admits(rule, address, 80) for rule in rules for address in INSTANCE_METADATA)


def test_api_key_is_required_and_read_from_the_secret_of_the_readme(internal: Cluster) -> None:
    (variable,) = [entry for entry in container(internal)["env"] if entry["name"].endswith("API_KEYS")]
    secret = variable["valueFrom"]["secretKeyRef"]
    assert not secret.get("optional")  # otherwise the service would be public without the secret
    component = (OVERLAYS / "api-key" / "kustomization.yaml").read_text(encoding="utf-8")
    for text in (readme("kubernetes"), component):
        created = re.findall(r"create secret generic (\S+) --from-literal=keys=", text)
        assert {*created} == {secret["name"]}
    assert secret["key"] == "keys"


def test_probes_need_no_api_key(internal: Cluster) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert is_open(container(internal)[probe]["httpGet"]["path"])


def test_api_key_component_applies_to_knative(internal: Cluster, tmp_path: Path) -> None:
    resource, component = (
        os.path.relpath(path, tmp_path) for path in (INFRA / "knative", OVERLAYS / "api-key")
    )
    kustomization = {"kind": "Kustomization", "resources": [resource], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    assert container(render(tmp_path))["env"] == container(internal)["env"]


def test_canary_splits_all_requests_between_the_new_and_an_older_revision(canary: Document) -> None:
    new = canary["spec"]["template"]["metadata"]["name"]
    assert new == f"{canary['metadata']['name']}-{VERSION.replace('.', '-')}"
    current, candidate = canary["spec"]["traffic"]
    assert candidate["revisionName"] == new != current["revisionName"]
    assert current["revisionName"].startswith(f"{canary['metadata']['name']}-")
    assert current["percent"] + candidate["percent"] == 100
    assert candidate["percent"] < current["percent"]
    assert {current["tag"], candidate["tag"]} <= {*re.findall(r"\w+", readme("knative"))}


def test_rollback_of_the_readme_sends_all_requests_to_the_current_revision(canary: Document) -> None:
    (operations,) = re.findall(r"kubectl patch ksvc \S+ --type json --patch '(.*)'", readme("knative"))
    traffic = [target["percent"] for target in canary["spec"]["traffic"]]
    for operation in yaml.safe_load(operations):
        assert operation["op"] == "replace"
        index = re.fullmatch(r"/spec/traffic/(\d)/percent", operation["path"])
        assert index
        traffic[int(index[1])] = operation["value"]
    assert traffic == [100, 0]
