"""What deploy/ says of several routers: valid by the published schemas, and true of the program."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from lab.kubernetes import program

from hookrouter import __version__
from hookrouter.ari.owner import SORCERY, owner_name
from hookrouter.config import load
from hookrouter.web import app as web

_ROOT = Path(__file__).parents[2]
_DEPLOY = _ROOT / "deploy"
_KUBERNETES = _DEPLOY / "kubernetes"
_CHART = _DEPLOY / "helm"
_SCHEMAS = Path(__file__).parent / "schemas"
_GIVEN = {
    "HOOKROUTER_SECRET": "whsec_MTIzNDU2Nzg5MGFiY2RlZg==", "HOOKROUTER_TOKEN": "0123456789abcdef", "ARI_PASSWORD": "p",
    "HOOKROUTER_STORE": "postgresql://hookrouter:p@postgres/hookrouter", "HOSTNAME": "router-a",
}  # fmt: skip
_OF_THE_MACHINE = {"HOSTNAME"}  # a container has it by itself


def _manifests() -> Iterator[dict[str, Any]]:
    for path in sorted(_KUBERNETES.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text())


def _faults(document: Mapping[str, Any]) -> list[str]:
    known = json.loads((_SCHEMAS / "kubernetes.json").read_text())
    kind = known["kinds"][f"{document['apiVersion']}/{document['kind']}"]
    validator = Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": known["$defs"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def _of_kind(kind: str) -> dict[str, Any]:
    return next(found for found in _manifests() if found["kind"] == kind)


@pytest.fixture
def pod() -> dict[str, Any]:
    found: dict[str, Any] = _of_kind("StatefulSet")["spec"]["template"]["spec"]
    return found


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_DEPLOY / "compose.cluster.yaml").read_text())
    return found


def _dockerfile(pattern: str) -> str:
    found = re.search(pattern, (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_manifests_are_valid(pod: dict[str, Any]) -> None:
    """By Kubernetes' own descriptions; a key that is not known is found."""
    assert [fault for document in _manifests() for fault in _faults(document)] == []
    wrong = copy.deepcopy(_of_kind("StatefulSet"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    assert _faults(wrong) != []


@pytest.mark.parametrize("path", ["compose.yaml", "deploy/compose.cluster.yaml"])
def test_the_compose_files_are_valid(path: str) -> None:
    """By the specification's schema; a key that is not known is found."""
    validator = Draft7Validator(json.loads((_SCHEMAS / "compose.json").read_text()))
    document = yaml.safe_load((_ROOT / path).read_text())
    assert [error.message for error in validator.iter_errors(document)] == []
    next(iter(document["services"].values()))["restarts"] = "always"
    assert [*validator.iter_errors(document)] != []


def test_kustomize_takes_all_of_it() -> None:
    """Each manifest and file is named."""
    kustomization = yaml.safe_load((_KUBERNETES / "kustomization.yaml").read_text())
    assert {*kustomization["resources"], "kustomization.yaml"} == {path.name for path in _KUBERNETES.glob("*.yaml")}
    (generated,) = kustomization["configMapGenerator"]
    assert all((_KUBERNETES / name).exists() for name in generated["files"])
    (image,) = kustomization["images"]
    assert image["name"] == _of_kind("StatefulSet")["spec"]["template"]["spec"]["containers"][0]["image"]


def _rendered(*command: str) -> list[dict[str, Any]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [*yaml.safe_load_all(done.stdout)]


def _chart(*options: str) -> list[dict[str, Any]]:
    name = next((option for option in options if not option.startswith("--")), "hookrouter")
    routes = f"--set-file=routes={_KUBERNETES / 'routes.toml'}"
    image = "--set=image.repository=registry.example.com/hookrouter"
    more = [option for option in options if option.startswith("--")]
    return _rendered(program("helm"), "template", name, str(_CHART), routes, image, *more)


def test_kustomize_renders_it() -> None:
    """Valid, and the routes that the pods mount are those that it makes."""
    rendered = _rendered(program("kubectl"), "kustomize", str(_KUBERNETES))
    assert [fault for document in rendered for fault in _faults(document)] == []
    (name,) = {found["metadata"]["name"] for found in rendered if found["kind"] == "ConfigMap"}
    assert {"name": name} in [volume.get("configMap") for volume in _volumes(rendered)]


def _sorted(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(documents, key=lambda found: (found["kind"], found["metadata"]["name"]))


def test_the_chart_is_the_same_as_the_manifests() -> None:
    """With its own values and the name `hookrouter`; but for the name of the routes, which kustomize makes of their content."""
    text = json.dumps(_rendered(program("kubectl"), "kustomize", str(_KUBERNETES)))
    plain = json.loads(re.sub(r'"hookrouter-[0-9a-z]{10}"', '"hookrouter"', text))
    chart = _chart()
    for found in chart:
        if found["kind"] == "ConfigMap":
            assert found["metadata"].pop("labels") == {"app.kubernetes.io/name": "hookrouter"}
            assert tomllib.loads(found["data"]["routes.toml"]) == tomllib.loads((_KUBERNETES / "routes.toml").read_text())
            found["data"]["routes.toml"] = (_KUBERNETES / "routes.toml").read_text()
    assert _sorted(chart) == _sorted(plain)
    description = yaml.safe_load((_CHART / "Chart.yaml").read_text())
    assert description["appVersion"] == description["version"] == __version__


def test_the_chart_with_other_values() -> None:
    """Each value is used, and each name is the release's; valid. `helm lint` has nothing to say."""
    changed = _chart(
        "pbx", "--set=replicas=5", "--set=secret=mine", "--set=monitoring=watch", "--set=state=9Gi", "--set=image.tag=v7",
        "--set=resources.limits.memory=1Gi",
    )  # fmt: skip
    assert [fault for document in changed for fault in _faults(document)] == []
    text = json.dumps([found for found in changed if found["kind"] != "ConfigMap"])
    image = "registry.example.com/hookrouter:v7"
    for value in ('"replicas": 5', '"name": "mine"', '"watch"', '"9Gi"', image, '"1Gi"', '"pbx-routers"'):
        assert value in text, value
    names = [found["metadata"]["name"] for found in changed]
    assert {*names} == {"pbx", "pbx-routers"}
    lint = ("lint", "--strict", str(_CHART), "--set=image.repository=x", "--set=routes=x")
    assert "0 chart(s) failed" in subprocess.run([program("helm"), *lint], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set=image.repository=x"], "--set-file routes=routes.toml"),
        (["--set=routes=x"], "--set image.repository="),
        (["--set=routes=x", "--set=image.repository=x", "--set=replica=2"], "'replica' not allowed"),
    ],
)
def test_the_chart_refuses_what_it_cannot_use(options: list[str], said: str) -> None:
    """What is missing is named with the remedy; what it does not know is refused."""
    command = [program("helm"), "template", "hookrouter", str(_CHART), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert said in done.stderr


def _volumes(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(d for d in documents if d["kind"] == "StatefulSet")["spec"]["template"]["spec"]["volumes"]
    return found


def test_what_selects_finds_the_pods() -> None:
    """The labels of the pods are those by which services, the disruption budget and the network policy look for them."""
    stateful = _of_kind("StatefulSet")["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["selector"]["matchLabels"] == labels
    services = [found for found in _manifests() if found["kind"] == "Service"]
    assert [found["spec"]["selector"] for found in services] == [labels, labels]
    assert stateful["serviceName"] in [found["metadata"]["name"] for found in services if found["spec"].get("clusterIP") == "None"]
    assert _of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    policy = _of_kind("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert {"podSelector": {"matchLabels": labels}} in policy["ingress"][0]["from"]


def _used(path: Path) -> set[str]:
    return set(re.findall(r"\$\{(\w+)\}", path.read_text())) - _OF_THE_MACHINE


def test_the_pods_have_what_the_routes_need(pod: dict[str, Any]) -> None:
    """Every variable and path: of routes.toml, of the secret, of the image and of the program."""
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "hookrouter"}}]
    secret = {line.partition("=")[0] for line in (_KUBERNETES / "secret.env.example").read_text().splitlines()}
    assert secret == _used(_KUBERNETES / "routes.toml") | {"HOOKROUTER_STORE"}
    documented = (_ROOT / "docs/operations.md").read_text()
    given = {found["name"]: found["value"] for found in container["env"]}
    for name in {*given, *secret} - {"HOOKROUTER_SECRET", "HOOKROUTER_TOKEN", "ARI_PASSWORD"}:
        assert f"`{name}" in documented, name
    mounts = {found["name"]: found["mountPath"] for found in container["volumeMounts"]}
    assert given["HOOKROUTER_CONFIG"] == f"{mounts['routes']}/routes.toml" == _dockerfile(r"HOOKROUTER_CONFIG=(\S+)")
    assert mounts["state"] == _dockerfile(r"^WORKDIR (\S+)")
    assert pod["securityContext"]["runAsUser"] == int(_dockerfile(r"--uid (\d+)"))
    assert [*container["args"]] == json.loads(_dockerfile(r"^CMD (\[.*\])$"))
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    volumes = {found["name"] for found in pod["volumes"]}
    assert volumes == mounts.keys()


def test_what_the_probes_ask_is_there(pod: dict[str, Any]) -> None:
    """Their paths are the program's, on the port that it listens at."""
    config = load(_KUBERNETES / "routes.toml", _GIVEN)
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert port == {"name": "http", "containerPort": config.server.port}
    source = Path(web.__file__).read_text()
    for kind, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
        assert container[f"{kind}Probe"]["httpGet"] == {"path": path, "port": "http"}
        assert f'Route("{path}"' in source
    for service in (found["spec"] for found in _manifests() if found["kind"] == "Service"):
        assert service["ports"] == [{"name": "http", "port": config.server.port, "targetPort": "http"}]


@pytest.mark.parametrize("path", ["cluster/routes.toml", "kubernetes/routes.toml"])
def test_the_routes_are_those_of_a_cluster(path: str) -> None:
    """They load without a warning; each router has a name and an address of its own, at the port that it listens at."""
    config = load(_DEPLOY / path, _GIVEN)
    assert config.warnings == ()
    assert config.cluster.name == "router-a"
    address = urlsplit(config.cluster.address)
    assert (address.hostname or "").split(".")[0] == "router-a"
    assert address.port == config.server.port
    assert config.server.token
    assert {found.mode for found in config.asterisks} == {"connect"}
    if path.startswith("kubernetes"):
        assert (address.hostname or "").split(".")[1] == _of_kind("StatefulSet")["spec"]["serviceName"]


def test_compose_gives_what_is_needed(compose: dict[str, Any]) -> None:
    """Hosts, ports, users and variables agree between its routers, Asterisks and files; three routers, two Asterisks."""
    services = compose["services"]
    config = load(_DEPLOY / "cluster/routes.toml", _GIVEN)
    routers = {name: found for name, found in services.items() if name.startswith("router")}
    assert len(routers) == 3
    for name, router in routers.items():
        assert router["hostname"] == name
        assert router["environment"].keys() == _used(_DEPLOY / "cluster/routes.toml") | {"HOOKROUTER_STORE"}
        assert urlsplit(re.sub(r"\$\{.*\}", "p", router["environment"]["HOOKROUTER_STORE"])).hostname in services
        assert (_DEPLOY / router["build"] / "Dockerfile").exists()
    ari, http = ((_DEPLOY / name).read_text() for name in ("cluster/asterisk/ari.conf", "asterisk/http.conf"))
    asterisks = {name for name in services if name.startswith("asterisk")}
    assert {urlsplit(found.url).hostname for found in config.asterisks} == asterisks
    assert len(asterisks) == 2
    for settings in config.asterisks:
        assert f"[{settings.username}]" in ari
        assert f"bindport = {urlsplit(settings.url).port}" in http
        assert f"Stasis({settings.apps[0]})" in (_DEPLOY / "cluster/asterisk/extensions.conf").read_text()
    included = re.search(r"#include (\S+)", ari)
    assert included is not None
    assert included[1] in (_DEPLOY / "asterisk/start.sh").read_text()
    route_host = urlsplit(config.routes.routes[0].endpoint.url).hostname
    assert route_host in services


def test_compose_mounts_what_is_there_and_confines_all(compose: dict[str, Any]) -> None:
    """Files, folders, named volumes; no rights, nothing writable of its own; ports of this machine alone; no known secret."""
    for name, service in compose["services"].items():
        assert ("image" in service) != ("build" in service)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (_DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"], volume
        assert service["read_only"] is True
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert {"mem_limit", "pids_limit", "logging"} <= service.keys()
        for port in service.get("ports", ()):
            assert re.match(r"127\.0\.0\.1:|\$\{SIP_ADDRESS_[AB]:-127\.0\.0\.[12]\}:", port), (name, port)
    text = (_DEPLOY / "compose.cluster.yaml").read_text()
    for name in ("HOOKROUTER_TOKEN", "PHONE_PASSWORD", "ARI_PASSWORD", "POSTGRES_PASSWORD"):
        assert f"${{{name}:?" in text
    assert "password" not in (_DEPLOY / "cluster/asterisk/ari.conf").read_text().replace("ari_password", "").replace("a password", "")


def test_its_asterisks_refuse_who_was_taken_over() -> None:
    """The lines of sorcery.conf are those that the program and docs/cluster.md name."""
    lines = (_DEPLOY / "cluster/asterisk/sorcery.conf").read_text().splitlines()
    assert [line for line in lines if not line.startswith(";")] == SORCERY.splitlines()
    said = (_ROOT / "docs/cluster.md").read_text()
    assert SORCERY in said
    assert f"`{owner_name(load(_DEPLOY / 'cluster/routes.toml', _GIVEN).asterisks[0])}`" in said
