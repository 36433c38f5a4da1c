"""The manifests: valid by Kubernetes' and Dask's schemas, restricted, and fitting together."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpuvgm.service.limits import Limits
from gpuvgm.service.server import GRACE_SECONDS
from tests.deploy.commands import DOCKERFILES, FOLDER, MANIFESTS, containers, documents, instruction, pod_specs

EVERY = [(path.name, document) for path in MANIFESTS for document in documents(path)]
OWN = [(name, one) for name, one in EVERY if one["apiVersion"] in ("v1", "apps/v1", "batch/v1")]
CLUSTERS = [(name, one) for name, one in EVERY if one["kind"] == "DaskCluster"]
PODS = [(name, pod) for name, one in EVERY for pod in pod_specs(one)]


def named(pairs):
    return [pytest.param(one, id=f"{name}-{number}") for number, (name, one) in enumerate(pairs)]


def check(document: dict[str, Any]) -> None:
    """Hold a document against Kubernetes' schema; names that it lacks are refused."""
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate, of the extra dev")
    validate.validate(document, validate.latest_version(), strict=True)


@pytest.mark.parametrize("document", named(OWN))
def test_kubernetes_schema(document):
    check(document)


def test_a_wrong_name_is_refused():
    (job,) = documents(FOLDER / "kubernetes" / "fit.yaml")
    job["spec"]["backoffLimits"] = 3
    with pytest.raises(Exception, match="backoffLimits"):
        check(job)


@pytest.mark.parametrize("cluster", named(CLUSTERS))
def test_parts_of_a_dask_cluster(cluster):
    metadata = {"name": "part"}
    for part in ("scheduler", "worker"):
        check({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": cluster["spec"][part]["spec"]})
    service = cluster["spec"]["scheduler"]["service"]
    check({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    assert service["selector"]["dask.org/cluster-name"] == cluster["metadata"]["name"]
    (scheduler,) = cluster["spec"]["scheduler"]["spec"]["containers"]
    assert {port["targetPort"] for port in service["ports"]} == {port["name"] for port in scheduler["ports"]}


@pytest.mark.parametrize("cluster", named(CLUSTERS))
def test_schema_of_dasks_operator(cluster):
    if (found := util.find_spec("dask_kubernetes")) is None:
        pytest.skip("the schema is in dask-kubernetes, which is not installed")
    validation = pytest.importorskip("jsonschema")
    charts = Path(found.origin).parent / "operator" / "deployment" / "helm" / "dask-kubernetes-operator" / "crds"
    resource = yaml.safe_load((charts / "daskcluster.yaml").read_text(encoding="utf-8"))
    schema = closed(resource["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    errors = validation.Draft202012Validator(schema).iter_errors(cluster["spec"])
    assert [f"{error.json_path}: {error.message[:200]}" for error in errors] == []


def closed(schema):
    """The schema with no other names than it has: the API server would drop them without a word."""
    if not isinstance(schema, dict):
        return schema
    inner = dict(schema)
    if isinstance(properties := inner.get("properties"), dict):
        inner["properties"] = {name: closed(part) for name, part in properties.items()}
        if not inner.get("x-kubernetes-preserve-unknown-fields"):
            inner.setdefault("additionalProperties", False)
    if "items" in inner:
        inner["items"] = closed(inner["items"])
    return inner


@pytest.mark.parametrize("pod", named(PODS))
def test_pods_are_restricted(pod):
    user = pod["securityContext"]
    assert user["runAsNonRoot"] and user["runAsUser"] == 10001 and user["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in containers([pod]):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True
        assert security["capabilities"]["drop"] == ["ALL"]
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys() & container["resources"]["limits"].keys()
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts["scratch"] == "/scratch"  # TMPDIR; nothing else can be written to
        assert mounts.keys() <= {volume["name"] for volume in pod["volumes"]}


def test_users_are_those_of_the_images():
    for path in DOCKERFILES:
        assert "USER 10001:10001" in path.read_text(encoding="utf-8")
        assert instruction(path, "ENTRYPOINT") == ["gpuvgm"]


def test_gpus_are_asked_for_where_the_image_needs_them():
    for _, pod in PODS:
        for container in containers([pod]):
            words = [*container.get("command", ["gpuvgm"]), *container["args"]]
            needs_gpu = words[0] == "gpuvgm" and container["image"].endswith(":gpu") or "cuda" in words
            assert ("nvidia.com/gpu" in container["resources"]["limits"]) == needs_gpu, container


def test_what_is_named_is_there():
    names = {(one["kind"], one["metadata"]["name"]) for _, one in EVERY if "metadata" in one}
    for _, pod in PODS:
        for volume in pod["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
    ((_, kustomization),) = [(name, one) for name, one in EVERY if one["kind"] == "Kustomization"]
    assert {path.name for path in MANIFESTS} - set(kustomization["resources"]) == {
        "kustomization.yaml",
        "dask.yaml",
        "gpu.yaml",
        "serve.yaml",
    }


def test_the_service_is_asked_how_it_is():
    deployment, service = documents(FOLDER / "kubernetes" / "serve.yaml")
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/ready"
    (port,) = container["ports"]
    assert str(port["containerPort"]) == container["args"][container["args"].index("--port") + 1]
    grace = pod["spec"]["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert grace >= 2 * Limits().timeout + GRACE_SECONDS


def test_secrets_are_references_only():
    for _, one in EVERY:
        assert one["kind"] != "Secret"
        for container in containers(one):
            assert "env" not in container
            assert all(source["secretRef"]["optional"] for source in container.get("envFrom", ()))
