"""What the README shows is so: its endpoint, its ladder, its configuration, its links."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest

from hookrouter.actions.decode import decode_answer
from hookrouter.ari.operations import operations
from hookrouter.cli import main
from hookrouter.config import parse
from hookrouter.delivery.envelope import envelope

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "README.md").read_text()
_PAGES = [_ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((_ROOT / "docs").glob("*.md"))


def _blocks(kind: str, text: str = _TEXT) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


_BY_HAND = _blocks("toml", (_ROOT / "docs" / "setup.md").read_text())
_ON_ONE_PAGE = _blocks("toml", (_ROOT / "docs" / "quick-reference.md").read_text())


def test_the_endpoint_answers() -> None:
    """The first block is a whole program; its answer is one that the router takes, and the ladder shows its actions."""
    (source,) = _blocks("python")
    names: dict[str, object] = {}
    exec(compile(source, "README.md", "exec"), names)

    async def ask(type: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=names["app"])  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://readme") as client:
            return await client.post("/", content=envelope("evt_1", type, "2026-11-23T01:21:20.227Z", b"{}", None))

    answer = decode_answer(asyncio.run(ask("StasisStart")).content, "application/json", first=True)
    verbs = [step.action.verb for step in answer.steps]
    assert verbs == ["answer", "play", "hangup"]
    (ladder,) = _blocks("text")
    assert all(verb in ladder for verb in verbs)
    assert json.loads(asyncio.run(ask("StasisEnd")).content) == []


@pytest.mark.parametrize("block", [*_blocks("toml"), *_BY_HAND, *_ON_ONE_PAGE])
def test_its_routes_load(block: str) -> None:
    """Without a fault and without a warning; so do those of the pages that it leads to."""
    config = parse(block, {"ARI_PASSWORD": "p", "HOOKROUTER_SECRET": "whsec_MTIzNDU2Nzg5MGFiY2RlZg=="})
    assert config.warnings == ()
    assert len(config.routes) == block.count("[[routes]]")


def test_its_commands_exist() -> None:
    """Every `hookrouter …` is a command, every `make …` a target, every number of operations the right one."""
    for page in _PAGES:
        text = page.read_text()
        for command in re.findall(r"(?:`|bin/)hookrouter ([a-z]+)", text):
            assert command in main.commands, f"{page.name}: hookrouter {command}"
        targets = re.findall(r"^(\w+):", (_ROOT / "Makefile").read_text(), re.MULTILINE)
        for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"
        for count in re.findall(r"(\d+) operations", text):
            assert int(count) == len(operations()), page.name


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file or heading of ours."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        if anchor:
            assert anchor in _anchors(linked), target
