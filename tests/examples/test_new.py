"""`hookrouter new`: what it writes runs as it is: its own test, what its Dockerfile starts, and a whole call with it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from examples.serving import Served, missing, node_packages
from lab.asterisk import free_port

from hookrouter.cli import main
from hookrouter.cli.new import LANGUAGES, samples

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=list(LANGUAGES))
def language(request: pytest.FixtureRequest) -> str:
    found = str(request.param)
    if found != "python" and not shutil.which(found):
        missing(found)
    return found


def environment(**more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "CGO_ENABLED": "0", "GOFLAGS": "-vet=off"} | more


def started(folder: Path) -> list[str]:
    """What the Dockerfile starts; where it builds first, what it builds is built, into this folder."""
    text = (folder / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(.*) \./$", text, re.M):
        assert all((folder / name).exists() for name in source.split()), source
    command: list[str] = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.M)[-1])
    for build in re.findall(r"^RUN (.* )-o /(\w+) \.$", text, re.M):
        subprocess.run(["sh", "-c", f"{build[0]}-o {build[1]} ."], cwd=folder, check=True, env=environment())
        command = [str(folder / build[1])]
    return command


def test_it_runs_as_it_is(language: str, tmp_path: Path) -> None:
    """Its test passes, and a simulated caller who presses 1 is served, with the signature checked."""
    folder = tmp_path / "hello"
    made = CliRunner().invoke(main, ["new", str(folder), "--lang", language])
    assert made.exit_code == 0, made.output
    assert {path.name for path in folder.iterdir()} == set(LANGUAGES[language].files)
    found = re.search(r"HOOKROUTER_SECRET=(whsec_\S+)", made.output)
    assert found is not None
    assert f"--run '{LANGUAGES[language].start}'" in made.output
    if language == "node":
        (folder / "node_modules").symlink_to(node_packages())
    tested = shlex.split(LANGUAGES[language].test)
    done = subprocess.run(tested, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    port, log = free_port(), tmp_path / "log"
    command = started(folder)
    with log.open("wb") as output:
        variables = environment(HOOKROUTER_SECRET=found[1], PORT=str(port))
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    served = Served(language, port, process, log)
    try:
        served.wait()
        arguments = ["simulate", served.url, "--digits", "1", "--speed", "20", "--secret"]
        call = CliRunner().invoke(main, [*arguments, found[1]])
        assert call.exit_code == 0, call.output
        assert "All is well" in call.output
    finally:
        served.stop()


def test_a_broken_one_fails_its_test(tmp_path: Path) -> None:
    """The test that it brings looks at the signature: here PHP's, those of the others have the same cases."""
    if not shutil.which("php"):
        missing("php")
    folder = tmp_path / "hello"
    CliRunner().invoke(main, ["new", str(folder), "--lang", "php"])
    program = folder / "ivr.php"
    program.write_text(program.read_text().replace("if (!signed($body))", "if (false)"))
    done = subprocess.run(["php", "test.php"], cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a wrong signature: 200, not 401" in done.stderr


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A name that is there is refused."""
    (tmp_path / "mine").write_text("mine")
    done = CliRunner().invoke(main, ["new", str(tmp_path / "mine"), "--lang", "php"])
    assert done.exit_code == 2
    assert "is there already" in done.output
    assert (tmp_path / "mine").read_text() == "mine"


def test_the_wheel_has_the_samples() -> None:
    """Each file that is copied lies in a folder that the package takes along."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    packed = settings["wheel"]["force-include"]
    assert packed == {f"examples/{name}": f"hookrouter/samples/{name}" for name in LANGUAGES}
    for name, chosen in LANGUAGES.items():
        assert all((samples(name) / file).is_file() for file in chosen.files)
