"""The manifests against the operator's own CRD, from its published jar. No Kubernetes runs here."""

import re
import shutil
import subprocess
import zipfile
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


def deployment() -> dict[str, Any]:
    return next(document for document in documents() if document["kind"] == "FlinkDeployment")


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


def test_settings_and_paths_are_those_of_the_image() -> None:
    kustomization = yaml.safe_load((ROOT / "k8s/kustomization.yaml").read_text())
    (settings,) = kustomization["configMapGenerator"]
    load(dict(literal.split("=", 1) for literal in settings["literals"]), cluster=True)
    image = (ROOT / "docker/Dockerfile").read_text()
    for path in re.findall(r"/opt/usher/([\w.-]+)", (ROOT / "k8s/personalize.yaml").read_text()):
        assert re.search(rf"(COPY \S*|venv ){re.escape(path)}\b", image), path
