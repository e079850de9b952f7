"""Warns of speech that no caller would hear: Asterisk cannot fetch it from where it is."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config.collecting import Findings
from hookrouter.config.values import Server, SpeechSettings
from hookrouter.http.reaching import EVERYWHERE, on_this_machine
from hookrouter.speech.speech import from_folder


def warn_of_unheard(
    speech: SpeechSettings | None, server: Server, asterisks: Sequence[AsteriskSettings], findings: Findings
) -> None:
    """Looks at each Asterisk: does it reach the address that it is told to fetch from?"""
    if speech is None or from_folder(speech):
        return
    given = urlsplit(speech.base_url).hostname if speech.base_url else ""
    place = "speech.base_url" if given else "speech"
    where = given or server.host
    for settings in asterisks:
        far = urlsplit(settings.url).hostname or ""
        name = f"asterisk.{settings.name}"
        if far and not on_this_machine(far) and on_this_machine(where):
            remedy = (
                "name an address of ours that it reaches" if given else "let [server] listen there, or set `folder`"
            )
            findings.warn(place, f"{name} at {far} cannot fetch from {where} what `say` has made: {remedy}")
        elif not far and not given and where in EVERYWHERE:
            findings.warn(
                place,
                f"{name} has no `url` (mode `listen`), so it is not known from which address it can fetch what `say` has "
                "made: set `base_url`",
            )
