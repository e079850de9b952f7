"""Whether `say` will be heard: does the program make a sound that Asterisk plays?"""

from __future__ import annotations

import tempfile

import msgspec

from hookrouter.checking.findings import Findings
from hookrouter.config.values import SpeechSettings
from hookrouter.http.client import Http
from hookrouter.speech.speech import Speech, SpeechFailed, from_folder


async def check_speech(speech: SpeechSettings, http: Http, findings: Findings) -> None:
    """Lets it say a few words; nothing of them is kept."""
    with tempfile.TemporaryDirectory() as folder:
        trial = msgspec.structs.replace(speech, folder=folder, asterisk_folder="", base_url="")
        try:
            await Speech(trial, http).say("One, two, three.", "en", "")
        except SpeechFailed as error:
            findings.wrong("speech", str(error))
            return
    findings.right("speech", "a text becomes a sound that Asterisk plays")
    if from_folder(speech):
        where = speech.asterisk_folder or speech.folder
        findings.not_asked("speech.folder", f"whether Asterisk sees {where}: it does not tell over ARI")
