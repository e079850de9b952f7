"""The rules and the dashboard of deploy/ against a running router: no name in them is wrong, and each alarm fires."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rig.router import Router, route

from hookrouter.facts import Warned

ROOT = Path(__file__).parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy/prometheus", ROOT / "deploy/grafana/hookrouter.json"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
NAME = re.compile(r"hookrouter_[a-z_]+")


def promtool(*arguments: str, given: bytes | None = None) -> str:
    if shutil.which("promtool") is None:
        message = "no promtool here; `make lab` installs Debian's `prometheus` (root)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, input=given, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


def expressions() -> list[str]:
    return [target["expr"] for panel in json.loads(GRAFANA.read_text())["panels"] for target in panel["targets"]]


def test_the_rules_are_valid_and_each_fires_and_keeps_silent() -> None:
    """By Prometheus' own judgement; one test for each alarm."""
    rules = re.findall(r"alert: (\w+)", (PROMETHEUS / "rules.yml").read_text())
    assert f"{len(rules)} rules found" in promtool("check", "rules", "rules.yml")
    promtool("test", "rules", "rules.test.yml")
    tested = re.findall(r"alertname: (\w+)", (PROMETHEUS / "rules.test.yml").read_text())
    assert sorted(tested) == sorted(rules * 2)


def test_each_panel_is_a_query(tmp_path: Path) -> None:
    """Prometheus reads every expression of the dashboard."""
    groups = [{"name": "panels", "rules": [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(expressions())]}]
    (tmp_path / "panels.json").write_text(json.dumps({"groups": groups}))
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "panels.json"))


async def test_every_name_is_one_of_a_running_router(tmp_path: Path) -> None:
    """In the rules, in the dashboard and in the table of alarms; and what the router shows is well formed."""
    text = route("http://127.0.0.1:9/")
    async with Router("http://127.0.0.1:9", "app", text, store=f"sqlite:///{tmp_path}/state.db") as router:
        router.service.facts.emit(Warned("loop", "an endpoint is in a loop"))
        shown = router.service.metrics()
    promtool("check", "metrics", given=shown)
    assert b"hookrouter_loops_total 1.0" in shown
    size = re.search(rb"^hookrouter_record_bytes (\S+)", shown, re.MULTILINE)
    assert size is not None
    assert float(size[1]) > 0
    known = set(re.findall(r"^# TYPE (\S+)", shown.decode(), re.MULTILINE))
    alarms = OPERATIONS.partition("## Alarms")[2].partition("\n## ")[0]
    named = {name for text in (alarms, (PROMETHEUS / "rules.yml").read_text(), *expressions()) for name in NAME.findall(text)}
    assert {name for name in named if name.removesuffix("_bucket") not in known} == set()


def test_every_alarm_of_the_documentation_is_a_rule() -> None:
    """And the other way round: each metric that a rule looks at is explained there."""
    alarms = OPERATIONS.partition("## Alarms")[2].partition("\n## ")[0]
    ruled = (PROMETHEUS / "rules.yml").read_text()
    assert set(NAME.findall(ruled)) == set(re.findall(r"^\| `(hookrouter_[a-z_]+)", alarms, re.MULTILINE))
