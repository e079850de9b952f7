"""The dashboard: what an operator wants to see first, on one page without a build step."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from starlette.responses import HTMLResponse, Response

from hookrouter import __version__

if TYPE_CHECKING:
    from hookrouter.web.app import Router


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(files("hookrouter.web").joinpath("dashboard.html").read_text())


def dashboard(router: Router) -> Response:
    """The page; it keeps itself up to date from /v1/events."""
    page = _template().render(version=__version__, asterisks=router.ready(), calls=router.calls())
    policy = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return HTMLResponse(page, headers={"content-security-policy": policy})
