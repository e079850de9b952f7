"""The console's pages from their templates: text is escaped, and what cannot be printed is shown as its escape.

Rules: no script and no style within a page, they are files below `static`; an instant is a `<time>` in UTC, which the page's
script puts into the reader's own zone.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlsplit

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from hookrouter import __version__
from hookrouter.telemetry.phrases import duration
from hookrouter.text.lines import shown

_MOST_BODY = 200_000


def _shown(value: Any) -> Any:
    return shown(value) if type(value) is str else value


def clock(at: float | None, form: str = "time") -> Any:
    """`form`: `time` (13:58:02) or `date` (26 Nov 13:58:02)."""
    if not at:
        return ""
    try:
        instant = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    text = instant.strftime("%H:%M:%S" if form == "time" else "%d %b %H:%M:%S")
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(instant.isoformat(), form, f"{text} UTC")


def since(at: float, now: float) -> Any:
    """How long something has been going on; the page's script counts on."""
    return Markup('<span class="since" data-since="{:.1f}">{}</span>').format(at, span(now - at))


def span(seconds: float) -> str:
    """`7 s`, `2:05`, `1:02:05`."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02}:{rest % 60:02}"
    return f"{whole} s" if whole < 60 else f"{rest // 60}:{rest % 60:02}"


def multiline(text: str) -> str:
    """As `shown`, but lines stay lines."""
    return "\n".join(shown(line.replace("\t", "    ")) for line in text.split("\n"))


class Lines(str):
    """Text with lines of its own, already fit to be shown."""


def pretty(value: Any) -> Lines:
    """JSON indented; what is none as text."""
    if isinstance(value, bytes | str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            return Lines(multiline(text[:_MOST_BODY].replace("\r\n", "\n")))
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    text = text.encode("utf-8", "replace").decode()
    return Lines(multiline(text[:_MOST_BODY]))


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()


def raw(value: bytes) -> Lines:
    """Bytes as they came: what is no printable ASCII as `\\x…`, lines as lines."""
    parts = (chr(byte) if 32 <= byte < 127 or byte == 10 else f"\\x{byte:02x}" for byte in value[:_MOST_BODY])
    return Lines("".join(parts))


def path_of(url: str) -> str:
    """The path of a URL, which tells endpoints apart; the whole where it has none."""
    parts = urlsplit(url)
    return parts.path if parts.path not in ("", "/") else url


@cache
def templates() -> jinja2.Environment:
    folder = files("hookrouter.web").joinpath("console", "templates")
    found = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "clock": clock, "since": since, "span": span, "duration": duration, "pretty": pretty, "raw": raw,
        "path_of": path_of, "compact": compact, "lines": Lines, "quoted": lambda text: quote(text, safe=""),
        "words": lambda text: text.replace("_", " "),
    }  # fmt: skip
    return found


def render(name: str, code: int = 200, /, **values: Any) -> Response:
    """A page of this template, with an HTTP status."""
    return HTMLResponse(templates().get_template(name).render(version=__version__, **values), code)


__all__ = ["Lines", "clock", "path_of", "pretty", "raw", "render", "since", "span", "templates"]
