"""`hookrouter new`: a small endpoint with its test and its Dockerfile; it is the sample of that language, copied."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import NamedTuple

import click

from hookrouter.cli.options import own_command, refuse, say
from hookrouter.delivery.signing import format_secret
from hookrouter.errors import ConfigurationError, Fault

_PACKAGE = Path(__file__).parents[1]


class Language(NamedTuple):
    """What is copied, and the commands: to install what it needs (empty: nothing), to test it, to start it."""

    files: tuple[str, ...]
    install: str
    test: str
    start: str


LANGUAGES = {
    "php": Language(("ivr.php", "test.php", "Dockerfile"), "", "php test.php", "php -S 127.0.0.1:8000 ivr.php"),
    "node": Language(
        ("ivr.mjs", "ivr.test.mjs", "package.json", "Dockerfile"), "npm install", "npm test", "node ivr.mjs"
    ),
    "python": Language(
        ("ivr.py", "test_ivr.py", "requirements.txt", "Dockerfile"),
        "python3 -m venv venv && . venv/bin/activate && pip install -r requirements.txt",
        "python test_ivr.py",
        "uvicorn ivr:app --port 8000",
    ),
    "go": Language(("ivr.go", "ivr_test.go", "go.mod", "Dockerfile"), "", "go test .", "go run ."),
}


def samples(language: str) -> Path:
    """The folder of the sample: in the installed package, else in the checkout."""
    packed = _PACKAGE / "samples"
    return (packed if packed.exists() else _PACKAGE.parent / "examples") / language


@click.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--lang", "language", type=click.Choice(list(LANGUAGES)), required=True, help="In which language.")
def new(name: Path, language: str) -> None:
    """Makes the folder NAME with a small endpoint: a menu, the check of the signature, a test, and a Dockerfile."""
    chosen = LANGUAGES[language]
    try:
        name.mkdir(parents=True)
        for file in chosen.files:
            shutil.copyfile(samples(language) / file, name / file)
    except FileExistsError:
        refuse(ConfigurationError([Fault(str(name), "is there already: give the name of a new folder")]))
    except OSError as error:
        refuse(ConfigurationError([Fault(str(name), f"cannot be made: {error.strerror}")]))
    say(f"{name}: {', '.join(chosen.files)}")
    say("")
    say(f"  cd {name}")
    for command in filter(None, (chosen.install, chosen.test)):
        say(f"  {command}")
    say(f"  export HOOKROUTER_SECRET={format_secret(secrets.token_bytes(32))}")
    say(f"  {own_command()} dev --run '{chosen.start}' --digits 1")
    say("")
    say('For the router give its route the same secret: secret = "${HOOKROUTER_SECRET}"')
