"""A newer version of the package: a copy of it with a higher number, and one more migration of each database."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import hookrouter

NEWER = "0.99.0"
_HERE = Path(hookrouter.__file__).parent
_POSTGRES = """
ALTER TABLE hookrouter.calls ADD COLUMN more text NOT NULL DEFAULT '';
ALTER TABLE hookrouter.leases ADD COLUMN more text NOT NULL DEFAULT '';
ALTER TABLE hookrouter.routers ADD COLUMN more text NOT NULL DEFAULT '';
ALTER TABLE hookrouter.deliveries ADD COLUMN more text NOT NULL DEFAULT '';
CREATE FUNCTION hookrouter.renew_v2() RETURNS void LANGUAGE sql AS 'SELECT';
"""
_SQLITE = "ALTER TABLE calls ADD COLUMN more TEXT NOT NULL DEFAULT '';\n"


def make_newer(folder: Path) -> dict[str, str]:
    """The environment in which a `python -m hookrouter` is that version. `folder`: where the copy is to be."""
    copy = folder / "newer" / "hookrouter"
    shutil.copytree(_HERE, copy)  # with what is compiled already
    place = copy / "__init__.py"
    place.write_text(re.sub('__version__ = ".*"', f'__version__ = "{NEWER}"', place.read_text()))
    for room, script in (("migrations_postgres", _POSTGRES), ("migrations", _SQLITE)):
        (copy / "store" / room / "999_more.sql").write_text(script)
    return {"PYTHONPATH": str(copy.parent)}
