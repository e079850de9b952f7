"""Where an Asterisk of mode `invite` is told to come, as far as routes.toml says: and whether it can."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.cluster.leases import Identity
from hookrouter.config.collecting import Findings
from hookrouter.config.values import Server
from hookrouter.http.reaching import on_this_machine


def advertised(settings: AsteriskSettings, cluster: Identity) -> str:
    """The URL of our HTTP that is given for it; empty: none is, and the way to Asterisk decides."""
    return settings.advertise or cluster.address


def check_invited(asterisks: Sequence[AsteriskSettings], server: Server, cluster: Identity, findings: Findings) -> None:
    """Notes what keeps an Asterisk from coming."""
    for settings in asterisks:
        if settings.mode != "invite":
            continue
        place, given = f"asterisk.{settings.name}.advertise", advertised(settings, cluster)
        if server.certificate and not given:
            findings.fault(place, "missing: by TLS Asterisk needs a name of ours that the certificate is for")
        if server.certificate and given.startswith("http:"):
            findings.fault(place, f"{given} is plain HTTP, but [server] has a certificate, and so speaks TLS alone")
        if given.startswith("https:") and not settings.advertise_ca:
            hint = "name the file of authorities on Asterisk's machine, such as /etc/ssl/certs/ca-certificates.crt"
            findings.fault(f"{place}_ca", f"missing: to come to {given} Asterisk needs to know whom to trust; {hint}")
        far, where = urlsplit(settings.url).hostname or "", urlsplit(given).hostname or server.host
        if not on_this_machine(far) and on_this_machine(where):
            remedy = "name an address of ours that it reaches" if given else "let [server] listen there"
            findings.warn(place, f"Asterisk at {far} cannot come to {where}: {remedy}")


__all__ = ["advertised", "check_invited"]
