"""At which address an Asterisk reaches this router: where it fetches what `say` says, unless `base_url` names another."""

from __future__ import annotations

from urllib.parse import urlsplit

from hookrouter.http.reaching import EVERYWHERE, reached_at
from hookrouter.speech.speech import SpeechFailed


async def own_address(host: str, port: int, asterisk_url: str) -> str:
    """`http://HOST:PORT` of ours. `host`: what we listen at; where that is every address, the one that leads to Asterisk.
    Raises SpeechFailed where that cannot be known.
    """
    if host in EVERYWHERE and not urlsplit(asterisk_url).hostname:
        raise SpeechFailed(
            "this Asterisk has no `url` (mode `listen`), so it is not known from which address it can fetch the sound: "
            "set `base_url` in [speech]"
        )
    try:
        return f"http://{await reached_at(host, port, asterisk_url)}"
    except OSError as error:
        raise SpeechFailed(f"no way to {asterisk_url} ({error}): set `base_url` in [speech]") from None
