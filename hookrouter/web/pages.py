"""Where the pages for a browser are, and the login, which stands before all of them."""

from __future__ import annotations

from importlib.resources import files
from urllib.parse import urlsplit

from starlette.responses import Response

from hookrouter.web.console.render import render

STATIC = str(files("hookrouter.web").joinpath("static"))
_PAGES = ("/calls", "/deliveries", "/routes", "/logs")


def is_page(path: str) -> bool:
    """Whether a path is one of the console's: for whoever has a token or a session."""
    return path == "/" or any(path == page or path.startswith(f"{page}/") for page in _PAGES)


def page_of(then: str) -> str:
    """The page of ours that somebody wanted before the login; "/" where it is none."""
    try:
        parts = urlsplit(then) if then.isprintable() and "\\" not in then else urlsplit("")
    except ValueError:  # `//[`
        return "/"
    return then if not parts.scheme and not parts.netloc and is_page(parts.path) else "/"


def login(status: int = 200, fault: str = "", then: str = "") -> Response:
    """Asks for the token; `then`: the page that was wanted."""
    return render("login.html", status, fault=fault, then=page_of(then))
