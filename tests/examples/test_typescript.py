"""Types for TypeScript come out of `hookrouter schema openapi`: the sample compiles with them, a slip does not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from examples.serving import typescript

_SLIPS = {
    "field": ("validDigits: [", "validDigit: [", r"'validDigit' does not exist .* Did you mean to write 'validDigits'"),
    "required": ("action: 'play', media: 'sound:vm-goodbye'", "action: 'play'", r'{ action: "play"; }. is not assignable'),
    "type": ("terminateOn: '#'", "terminateOn: 5", r"'number' is not assignable to type '\"#\""),
    "verb": ("{ action: 'hangup' }]", "{ action: 'hangUp' }]", r"'\"hangUp\"' is not assignable"),
    "result": ("event.data.digits === '2'", "event.data.digit === '2'", r"'digit' does not exist .* Did you mean 'digits'"),
    "event": ("case 'ActionFailed'", "case 'ActionFail'", r"'\"ActionFail\"' is not comparable"),
    "channel": ("channel.caller.number", "channel.callerid.number", r"'callerid' does not exist"),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The sample, and beside it a copy with each slip; what the compiler says of all of them."""
    folder = typescript(tmp_path_factory.mktemp("typescript"))
    source = (folder / "ivr.ts").read_text()
    for name, (right, wrong, _) in _SLIPS.items():
        assert right in source
        (folder / f"slip-{name}.ts").write_text(source.replace(right, wrong))
    (folder / "tsconfig.json").write_text((folder / "tsconfig.json").read_text().replace('"files": ["ivr.ts"]', '"noEmit": false'))
    command = ["node", str(folder / "node_modules/typescript/bin/tsc"), "--pretty", "false"]
    return folder, subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_the_sample_compiles(compiled: tuple[Path, str]) -> None:
    """Strictly, and into something that runs."""
    folder, said = compiled
    assert not re.search(r"^ivr\.ts", said, re.MULTILINE)
    assert (folder / "ivr.js").exists()


@pytest.mark.parametrize("slip", _SLIPS)
def test_a_slip_does_not_compile(compiled: tuple[Path, str], slip: str) -> None:
    """And the compiler knows what was meant."""
    _, said = compiled
    mine = [line for line in said.splitlines() if line.startswith(f"slip-{slip}.ts")]
    assert mine
    assert re.search(_SLIPS[slip][2], "\n".join(mine)), mine
