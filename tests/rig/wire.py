"""The misbehaving endpoints of tests/wire, for other folders."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

_spec = importlib.util.spec_from_file_location("wire_endpoints", Path(__file__).parents[1] / "wire/endpoints.py")
assert _spec
assert _spec.loader
endpoints: Any = importlib.util.module_from_spec(_spec)
sys.modules["wire_endpoints"] = endpoints
_spec.loader.exec_module(endpoints)
