"""The first steps as they are printed: README's endpoints in each language, and what `make demo` ends with."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from examples.serving import Served, missing
from lab.asterisk import free_port

from hookrouter.simulator.playing_out import Play
from hookrouter.simulator.script import Script

README = (Path(__file__).parents[2] / "README.md").read_text()
LANGUAGES = {"php": ("php", "php"), "node": ("js", "mjs"), "python": ("python", "py")}


def _started(arguments: list[str], language: str, port: int, folder: Path, path: str) -> Served:
    log = folder / "log"
    with log.open("wb") as output:
        environment = os.environ | {"PATH": path}
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    return Served(language, port, process, log)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_endpoints_of_the_readme(language: str, tmp_path: Path) -> None:
    """Saved and started as the page says, each answers a call with the same three actions."""
    block, ending = LANGUAGES[language]
    (source,) = re.findall(rf"^```{block}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (command,) = re.findall(rf"`hello\.{ending}`, started by `([^`]+)`", README)
    port = free_port()
    (tmp_path / f"hello.{ending}").write_text(source.replace("8000", str(port)))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    arguments = shlex.split(command.replace("8000", str(port)))
    if not shutil.which(arguments[0], path=path):
        missing(arguments[0])
    served = _started(arguments, language, port, tmp_path, path)
    try:
        result = await Play(served.wait().url, Script(), speed=20).run()
    finally:
        served.stop()
    assert result.problems == []
    assert result.actions == ["answer", "play", "hangup"]


def test_the_demo_ends_with_a_command_that_works(tmp_path: Path) -> None:
    """As it is printed, in another folder; and what that prints names a program that is there."""
    run = [sys.executable, "-m", "hookrouter", "demo", "--speed", "50"]
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout.rstrip().splitlines()[-1]
    assert printed.endswith(" new hello --lang python")
    done = subprocess.run(["sh", "-c", printed], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert (tmp_path / "hello/ivr.py").exists()
    (dev,) = (line for line in done.splitlines() if " dev --run " in line)
    helped = f"{dev.partition(' dev ')[0]} dev --help"
    assert "--digits" in subprocess.run(["sh", "-c", helped], check=True, capture_output=True, text=True).stdout
