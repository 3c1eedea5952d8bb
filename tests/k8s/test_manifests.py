"""The manifests against the operator's own CRD, from its published jar. No Kubernetes runs here."""

import re
import shutil
import subprocess
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from usher.settings import ROOT, load

OPERATOR = "org.apache.flink:flink-kubernetes-operator-api:1.10.0"
"""The newest whose jar is published in a public Maven repository and holds the CRD."""
CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


def documents() -> list[dict[str, Any]]:
    files = yaml.safe_load((ROOT / "k8s/kustomization.yaml").read_text())["resources"]
    return [document for name in files for document in yaml.safe_load_all((ROOT / "k8s" / name).read_text())]


def kustomization() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "k8s/kustomization.yaml").read_text()))


def deployment() -> dict[str, Any]:
    return next(document for document in documents() if document["kind"] == "FlinkDeployment")


def crons() -> dict[str, dict[str, Any]]:
    """The pod template of each CronJob, by name."""
    found = [document for document in documents() if document["kind"] == "CronJob"]
    return {one["metadata"]["name"]: one["spec"]["jobTemplate"]["spec"]["template"] for one in found}


def settings() -> dict[str, str]:
    (generated,) = kustomization()["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generated["literals"])


def values(part: Any, key: str) -> list[Any]:
    """Each value of that key, however deep."""
    if isinstance(part, list):
        return [value for one in part for value in values(one, key)]
    if not isinstance(part, dict):
        return []
    return [value for name, one in part.items() for value in ([one] if name == key else values(one, key))]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, mvn = tmp_path_factory.mktemp("operator"), shutil.which("mvn")
    assert mvn
    copy = ["dependency:copy", f"-Dartifact={OPERATOR}", f"-DoutputDirectory={folder}"]
    subprocess.run([mvn, "-q", "-B", *copy], cwd=folder, check=True, timeout=120)
    (jar,) = Path(folder).glob("*.jar")
    crd = yaml.safe_load(zipfile.ZipFile(jar).read(CRD))
    return dict(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])


def closed(schema: Any) -> Any:
    """The same schema, refusing fields it does not name, as the API server would drop them."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: closed(part) for name, part in schema.items()}
    if isinstance(strict.get("properties"), dict) and strict.get("type") == "object":
        strict["additionalProperties"] = False
    return strict


def test_the_deployment_is_what_the_crd_allows(schema: dict[str, Any]) -> None:
    spec = deployment()["spec"]
    known = schema["properties"]["flinkVersion"]
    known["enum"].append("v2_0")  # of newer operators
    jsonschema.validate(spec, closed(schema))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spec | {"flnkVersion": "v2_0"}, closed(schema))


def test_what_is_scheduled_is_a_pod_that_runs_a_command_of_usher(schema: dict[str, Any]) -> None:
    assert set(crons()) == {"retrain", "retain"}
    for name, template in crons().items():
        jsonschema.validate(template, closed(schema["properties"]["podTemplate"]))
        (container,) = template["spec"]["containers"]
        assert container["args"] == ["usher", name]
        assert subprocess.run([ROOT / ".venv/bin/usher", name, "--help"], capture_output=True).returncode == 0
    (retrain,) = crons()["retrain"]["spec"]["containers"]
    assert retrain["volumeMounts"] == deployment()["spec"]["podTemplate"]["spec"]["containers"][0]["volumeMounts"]


def test_settings_and_paths_are_those_of_the_image() -> None:
    load(settings(), cluster=True)
    image = (ROOT / "docker/Dockerfile").read_text()
    for path in re.findall(r"/opt/usher/([\w.-]+)", (ROOT / "k8s/personalize.yaml").read_text()):
        assert re.search(rf"(COPY \S*|venv ){re.escape(path)}\b", image), path
    assert f"FLINK_CONF_DIR={deployment()['spec']['flinkConfiguration']['kubernetes.flink.conf.dir']} " in image
    assert "ln -s /usr/local/bin/entrypoint /docker-entrypoint.sh" in image  # Flink's kubernetes.entry.path
    users = [context["runAsUser"] for context in values(documents(), "securityContext")]
    assert users and all(f"--uid {user} " in image for user in users)


def test_what_flink_starts_is_in_the_pyflink_that_the_image_installs() -> None:
    pyflink = Path(find_spec("pyflink").submodule_search_locations[0])  # type: ignore[union-attr,index]
    jar = deployment()["spec"]["job"]["jarURI"].removeprefix("local:///opt/flink/")
    entry = deployment()["spec"]["job"]["entryClass"].replace(".", "/") + ".class"
    assert entry in zipfile.ZipFile(pyflink / jar).namelist()
    (dist,) = pyflink.glob("lib/flink-dist-*.jar")
    there = set(zipfile.ZipFile(dist).namelist())
    for name in ("entrypoint/KubernetesApplicationClusterEntrypoint", "highavailability/KubernetesHaServicesFactory"):
        assert f"org/apache/flink/kubernetes/{name}.class" in there
    assert (pyflink / "bin/kubernetes-jobmanager.sh").exists()


def test_whatever_is_named_is_defined() -> None:
    """Except the secret of logins, which is yours, and optional."""
    there = {(document["kind"], document["metadata"]["name"]) for document in documents()}
    there |= {("ConfigMap", one["name"]) for one in kustomization()["configMapGenerator"]}
    named = {("ServiceAccount", deployment()["spec"]["serviceAccount"])}
    named |= {("PersistentVolumeClaim", name) for name in values(documents(), "claimName")}
    named |= {("ConfigMap", one["name"]) for one in values(documents(), "configMapRef")}
    for binding in (document for document in documents() if document["kind"] == "RoleBinding"):
        named |= {(one["kind"], one["name"]) for one in (binding["roleRef"], *binding["subjects"])}
    assert named <= there
    assert {(one["name"], one["optional"]) for one in values(documents(), "secretRef")} == {("usher-logins", True)}


def test_every_pod_is_kept_from_the_variables_of_services_and_may_write_to_its_volume() -> None:
    pods = [deployment()["spec"]["podTemplate"]["spec"], *(template["spec"] for template in crons().values())]
    assert all(pod["enableServiceLinks"] is False and pod["securityContext"]["fsGroup"] for pod in pods)
    assert set(values(documents(), "mountPath")) == {"/var/lib/usher/state"}
    for name in ("USHER_CHECKPOINT_DIR", "USHER_DEAD_LETTERS", "USHER_MODEL_DIR"):
        assert settings()[name].removeprefix("file://").startswith("/var/lib/usher/state/")


def test_parallelism_is_said_twice_and_alike() -> None:
    assert int(settings()["USHER_PARALLELISM"]) == deployment()["spec"]["job"]["parallelism"]
