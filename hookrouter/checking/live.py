"""`hookrouter check --live`: asks every Asterisk, the router that runs and every endpoint, and says what is wrong.

Rule: nothing is changed (where several routers are set up, an ARI user is made and taken away again), and it works beside a
running router. What was not asked is said.
"""

from __future__ import annotations

from pathlib import Path

import httpx
from msgspec.structs import replace

from hookrouter.checking.asterisk import AsteriskCheck
from hookrouter.checking.endpoints import Endpoints
from hookrouter.checking.findings import Findings, Say
from hookrouter.checking.folder import check_folder
from hookrouter.checking.music import Music, read_music
from hookrouter.checking.router import address, running_router
from hookrouter.checking.speech import check_speech
from hookrouter.config import Config
from hookrouter.http.client import Http, TooLarge


async def check_live(config: Config, say: Say, folder: Path | None = None) -> Findings:
    """`folder`: Asterisk's configuration files, such as /etc/asterisk; None: only what it tells is looked at."""
    findings = Findings(say)
    http = Http()
    try:
        running = await running_router(config.server, http)
        if running is not None:
            findings.right("server.listen", f"a router runs at {address(config.server)}")
        asterisks = []
        for settings in config.asterisks:
            opens = True
            try:
                opens = await AsteriskCheck(settings, config, http, findings, running).check(files=folder is not None)
            except (httpx.TransportError, TooLarge) as error:
                findings.wrong(f"asterisk.{settings.name}.url", f"{settings.url} stopped answering ({error})")
            asterisks.append(settings if opens else replace(settings, mode="connect"))  # its files cannot have more
        if folder is not None:
            check_folder(folder, asterisks, findings)
            music = read_music(folder, findings)
        else:
            music = Music(findings)
            findings.not_asked(
                "the dialplan",
                "ARI does not show it. With --asterisk-config /etc/asterisk it is read, and looked through for apps of "
                "other names and for patterns that fit `h`",
            )
        if config.speech is not None:
            await check_speech(config.speech, http, findings)
        endpoints = Endpoints(http, findings, config.asterisks, music)
        for route in config.routes.routes:
            await endpoints.check(route)
        return findings
    finally:
        await http.close()
