"""Which of Asterisk's files belong to whom: in a plain folder all to the admin, in FreePBX's only those named `_custom`.

Source for FreePBX 16 and 17: its modules `core` (http.conf, extensions.conf, and what writes `http_additional.conf`) and
`arimanager` (ari.conf and `ari_*additional.conf`): they write the main files and `*_additional.conf` anew at each
`Apply Config`, include `*_custom.conf` behind them, and never touch those. No module writes websocket_client.conf.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Style:
    """The file that takes each kind of addition. `inbound`: where phones dial; empty: pjsip.conf is asked."""

    name: str
    http: str
    ari: str
    users: str
    dialplan: str
    freepbx: bool
    inbound: str


PLAIN = Style("a plain Asterisk", "http.conf", "ari.conf", "ari.conf", "extensions.conf", False, "")
FREEPBX = Style(
    "FreePBX: only its _custom files, and files that it does not know, are written",
    "http_custom.conf",
    "ari_general_custom.conf",  # included within [general]
    "ari_additional_custom.conf",
    "extensions_custom.conf",
    True,
    "from-internal-custom",
)


def style_of(folder: Path) -> Style:
    """FreePBX (and what descends from it) has generated files beside those that it leaves to the admin."""
    return FREEPBX if (folder / "extensions_additional.conf").exists() else PLAIN
