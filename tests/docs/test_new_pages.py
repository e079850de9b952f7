"""What docs/prompts.md, privacy.md, versions.md and glossary.md say is so: their commands run, their settings load."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import click
import pytest
import yaml
from lab.asterisk import free_port

from hookrouter.actions.decode import decode_answer
from hookrouter.actions.vocabulary import BY_NAME
from hookrouter.cli import main
from hookrouter.config import parse

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_PAGES = ("prompts.md", "privacy.md", "versions.md", "glossary.md")


def _blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (_DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("answer", [block for page in _PAGES for block in _blocks(page, "json")])
def test_the_answers_are_taken(answer: str) -> None:
    """Each list of actions."""
    assert decode_answer(answer.encode(), "application/json", first=True).steps


def test_there_are_no_other_blocks() -> None:
    """That nobody runs."""
    for page in _PAGES:
        kinds = set(re.findall(r"^```(\w+)$", (_DOCS / page).read_text(), re.MULTILINE))
        assert kinds <= {"json", "sh", "toml"}, page


def test_a_prompt_is_made(tmp_path: Path) -> None:
    """The commands, one after another: what is placed is what Asterisk plays, without silence at its ends."""
    if not (shutil.which("espeak-ng") and shutil.which("sox")):
        message = "needs espeak-ng and sox: make lab"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    script = "set -e\n" + "".join(_blocks("prompts.md", "sh"))
    environ = os.environ | {"SOUNDS": str(tmp_path / "sounds")}
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Sample Rate +: 8000", done.stdout)
    with wave.open(str(tmp_path / "sounds/en/custom/welcome.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
        seconds = sound.getnframes() / 8000
    with wave.open(str(tmp_path / "spoken.wav")) as spoken:
        whole = spoken.getnframes() / spoken.getframerate()
    assert 2 < seconds < whole
    better = (tmp_path / "sounds/en/custom/welcome.sln16").stat().st_size / 2 / 16000
    assert abs(better - seconds) < 0.2


def test_the_shorter_times_load() -> None:
    """Without a fault or a warning, and shorter than by default."""
    (block,) = _blocks("privacy.md", "toml")
    without = block.partition("[store]")[0] + block[block.index("[[routes]]") :]
    short, usual = (parse(text, {"ARI_PASSWORD": "p"}) for text in (block, without))
    assert short.warnings == ()
    assert short.store.timeline_days < usual.store.timeline_days
    assert short.store.dead_letter_days < usual.store.dead_letter_days
    text = (_DOCS / "privacy.md").read_text()
    assert f"`timeline_days` of [`[store]`](routes.md#store), {usual.store.timeline_days:.0f} days" in text
    assert f"`delivered_days` ({usual.store.delivered_days:.0f} day)" in text
    assert f"`dead_letter_days` ({usual.store.dead_letter_days:.0f} days)" in text


def test_the_commands_exist() -> None:
    """With their options."""
    (lines,) = [block for block in _blocks("privacy.md", "sh") if "hookrouter calls" in block]
    calls = main.commands["calls"]
    assert isinstance(calls, click.Group)
    found = re.findall(r"^hookrouter calls (.*?) +#", lines, re.MULTILINE)
    assert found == ["--text 4930123456 --json", "show CALL"]
    options = {option for parameter in calls.params for option in parameter.opts}
    assert {"--text", "--json"} <= options
    assert "show" in calls.commands


def _config(folder: Path) -> Path:
    path = folder / "routes.toml"
    path.write_text(
        f'[asterisk.main]\npassword = "x"\nurl = "http://127.0.0.1:1"\n[server]\nlisten = "127.0.0.1:{free_port()}"\n'
        '[[routes]]\nurl = "http://127.0.0.1:1/"\n'
    )
    return path


def _serve(folder: Path, config: Path) -> None:
    """The router in `folder`, until it is up; then it is ended."""
    command = [sys.executable, "-m", "hookrouter", "serve", "-c", config, "--store", f"sqlite:///{folder}/state.db"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "router.started" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=20)
    assert process.returncode == 0, "".join(lines) + rest


def test_the_record_is_erased_and_the_router_goes_on(tmp_path: Path) -> None:
    """The commands of the page, with the service's folder in another place."""
    folder = tmp_path / "hookrouter"
    folder.mkdir(mode=0o700)
    config = _config(tmp_path)
    _serve(folder, config)
    assert (folder / "record.db").exists()
    stop, erase, start = _blocks("privacy.md", "sh")[-1].splitlines()
    assert (stop, start) == ("systemctl stop hookrouter", "systemctl start hookrouter")
    subprocess.run(["sh", "-c", erase.replace("/var/lib/hookrouter", str(folder))], check=True)
    assert list(folder.glob("record*")) == []
    assert (folder / "state.db").exists()
    _serve(folder, config)
    assert (folder / "record.db").exists()


def test_one_person_is_erased(tmp_path: Path) -> None:
    """The commands of the page, one after another, with the service's folder in another place."""
    folder = tmp_path / "hookrouter"
    folder.mkdir(mode=0o700)
    config = _config(tmp_path)
    _serve(folder, config)
    (block,) = [block for block in _blocks("privacy.md", "sh") if "hookrouter erase" in block]
    stop, *erase, start = block.replace("/var/lib/hookrouter", str(folder)).splitlines()
    assert (stop, start) == ("systemctl stop hookrouter", "systemctl start hookrouter")
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said = [subprocess.run(["sh", "-c", line], env=environ, check=True, capture_output=True, text=True).stdout for line in erase]
    assert ["nothing was erased" in one for one in said] == [True, False]
    assert "erased." in said[1]
    _serve(folder, config)


def test_the_versions_are_those_of_the_project() -> None:
    """Python's is that of the package; Asterisk's that of the tests."""
    text = (_DOCS / "versions.md").read_text()
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    assert f"| Python | {project['requires-python'].removeprefix('>=')} or newer |" in text
    tested = re.search(r"Asterisk (\d+\.\d+)\.", (_DOCS / "performance.md").read_text())
    assert tested is not None
    assert f"a real {tested[1]}, " in text


def test_the_sizing_is_what_was_measured() -> None:
    """Within a fifth of docs/performance.md."""
    measured = (_DOCS / "performance.md").read_text()
    said = re.search(r"the router takes (\d+) ms of CPU a call or less.*?and (\d+) MB with 2,000 live calls", _operations(), re.DOTALL)
    assert said is not None
    memory = re.search(r"^\| 2000 \| ([\d.]+) MB \|", measured, re.MULTILINE)
    dearest = re.search(r"^\| hookrouter all \|.*\| ([\d.]+) ms \([\d.]+\) \|$", measured, re.MULTILINE)
    assert memory is not None
    assert dearest is not None
    assert float(said[2]) == pytest.approx(float(memory[1]), rel=0.2)
    assert float(dearest[1]) <= float(said[1]) * 1.2


def test_the_picture_of_the_containers() -> None:
    """Names and ports are those of compose.yaml."""
    pictures = re.findall(r"^```text\n(.*?)^```", _operations(), re.DOTALL | re.MULTILINE)
    (picture,) = [block for block in pictures if "softphone" in block]
    services = yaml.safe_load((_ROOT / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert name in picture
        for port in service.get("ports", ()):
            assert port.rpartition("/")[0].split(":")[-1] in picture or port.split(":")[-1] in picture, port


def test_the_words_of_the_glossary() -> None:
    """In the order of the alphabet; the verb that explains `verb` is one."""
    words = re.findall(r"^\| \*\*([^,*]+)", (_DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    assert {"play", "gather"} <= BY_NAME.keys()


def _operations() -> str:
    return (_DOCS / "operations.md").read_text()
