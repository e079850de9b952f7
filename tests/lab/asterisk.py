"""A private, real Asterisk for tests: its own folder, ports and dialplan, started in a second and killed without mercy.

Phones: an address (`PJSIP/far/sip:…`); `alice` and `bob` register; `info` and `inband` press keys in those ways; `sealed`
speaks SRTP, as caller and as callee (`PJSIP/sealed/sip:…`).

Rules: several run at once from one installation, which installing.py makes. `suite`: of which of Debian's; testing's, if none is said.
By hand: `PYTHONPATH=tests python -m lab.asterisk --suite bullseye`.

The dialplan (the simulator knows the same one):
- context `in`: `call-APP` → Stasis(APP, arguments from the inherited variable ARGS); a call that comes back or is refused
  goes on: UserEvent(went-on), Answer, Wait(30), Hangup. Digits → Stasis(hookrouter). `app-APP` over SIP the same.
  `ours-APP-PORT` over SIP: the app, then the phone at that port; `direct-PORT`: the phone without the app; `queue-PORT`:
  Asterisk's own queue, whose agent is that phone; `pickup`, `grab-NAME` and `*8`: what rings is answered here;
  `loose-APP`: the app, by a pattern that fits the extension `h`, too.
- context `callers`, the far ends: wait, echo, busy, congestion, ring, answer-hangup, dtmf-DIGITS, late-SECONDS, talk.
- context `subs`: subroutines for the verb `dialplan`.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import wave
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.installing import SUITES, TESTING, installed, within

HERE = Path(__file__).parent
USER = PASSWORD = "hookrouter"
_NOLOAD = """
res_config_odbc res_config_pgsql res_config_sqlite3 res_config_ldap res_config_mysql res_config_curl res_snmp
res_corosync res_xmpp res_fax res_fax_spandsp res_calendar res_calendar_caldav res_calendar_ews
res_calendar_exchange res_calendar_icalendar chan_dahdi chan_motif chan_iax2 chan_unistim chan_sip chan_mgcp
chan_skinny chan_oss chan_alsa chan_console chan_mobile chan_ooh323 chan_phone app_dahdiras app_meetme cdr_odbc
cdr_pgsql cdr_sqlite3_custom cdr_radius cdr_tds cdr_adaptive_odbc cel_odbc cel_pgsql cel_radius cel_sqlite3_custom
cel_tds cdr_csv cdr_custom cel_custom cdr_manager cel_manager pbx_dundi pbx_ael pbx_lua pbx_realtime
res_pjsip_phoneprov_provider res_phoneprov res_adsi app_adsiprog app_getcpeid res_odbc res_odbc_transaction
func_odbc res_timing_dahdi res_smdi app_sms app_festival res_stun_monitor res_clialiases res_prometheus res_statsd
res_hep res_hep_pjsip res_hep_rtcp res_stir_shaken res_aeap res_speech_aeap res_geolocation res_resolver_unbound
codec_dahdi app_voicemail app_voicemail_imap app_voicemail_odbc app_flash
""".split()  # noqa: SIM905


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody uses now.

    None of those that the kernel gives to outgoing connections and to whoever asks for any: such a one may be taken before
    it is used. Nor, of UDP, one that an Asterisk of ours uses for sound (from 15,000 on).
    """
    ports = range(16_000, 32_000) if kind == socket.SOCK_STREAM else range(5_100, 15_000)
    while True:
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port := secrets.choice(ports)))
            return port


@dataclass
class Asterisk:
    """One instance. `listen`: {app: WebSocket URL} that Asterisk connects to by itself (persistent outbound sockets)."""

    http_port: int = 0
    sip_port: int = 0
    listen: dict[str, str] = field(default_factory=dict)
    session_limit: int = 100
    extra_ari: str = ""
    files: dict[str, str] = field(default_factory=dict)  # name → text, beside the configuration
    tls_port: int = 0  # of HTTPS, with the files `server.pem` and `server.key`
    client_tls: str = "tls_enabled=no"  # of `listen`; `{etc}` is where `files` are
    media_clients: dict[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()  # more than the lab's
    suite: str = TESTING

    def __post_init__(self) -> None:
        root = installed(self.suite)
        if root is None:
            raise RuntimeError("no Asterisk on this machine; `make lab` installs one (needs root and Debian)")
        self.root = root
        self.http_port = self.http_port or free_port()
        self.sip_port = self.sip_port or free_port(socket.SOCK_DGRAM)
        self.rtp_start = 10_000 + (os.getpid() * 7 + self.http_port) % 200 * 200
        self.inside = f"/tmp/hookrouter-lab-{secrets.token_hex(4)}"
        self.folder = root / self.inside.lstrip("/")
        self.process: subprocess.Popen[bytes] | None = None
        self.username, self.password = USER, PASSWORD

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        """The process that is Asterisk itself."""
        assert self.process is not None
        return self.process.pid

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def log(self) -> str:
        path = self.folder / "log/messages"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, timeout: float = 30.0) -> Asterisk:
        """Returns when the REST interface answers. Raises RuntimeError with the end of the log."""
        self._spawn()
        return self.wait(timeout)

    def boot(self) -> Asterisk:
        """Returns when it runs; its REST interface may be off, or know nobody. Raises RuntimeError with the end of the log."""
        self._spawn()
        return self._until(self._booted, 60.0)

    def wait(self, timeout: float = 30.0) -> Asterisk:
        """Returns when the REST interface answers. Raises RuntimeError with the end of the log."""
        return self._until(self.answers, timeout)

    def _spawn(self) -> None:
        self.prepare()
        command = ["asterisk", "-C", f"{self.inside}/etc/asterisk.conf", "-f", "-n"]
        output = open(self.folder / "out", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*within(self.root), *command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        output.close()

    def _until(self, there: Callable[[], bool], timeout: float) -> Asterisk:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                break
            if there():
                return self
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"Asterisk did not start:\n{(self.folder / 'out').read_text()[-2000:]}\n{self.log[-2000:]}")

    def answers(self) -> bool:
        """Whether ARI is up; also the SIP side, which comes up a little later or earlier."""
        token = b64encode(f"{self.username}:{self.password}".encode()).decode()
        request = urllib.request.Request(f"{self.url}/ari/asterisk/ping", headers={"authorization": f"Basic {token}"})
        try:
            with urllib.request.urlopen(request, timeout=1) as reply:
                if reply.status != 200:
                    return False
        except (OSError, urllib.error.URLError):
            return False
        return "Asterisk Ready" in (self.folder / "out").read_text(errors="replace") or "Asterisk Ready" in self.log or self._booted()

    def _booted(self) -> bool:
        return "fully booted" in self.cli("core waitfullybooted")

    def cli(self, command: str) -> str:
        """What the console answers to a command."""
        line = [*within(self.root), "asterisk", "-C", f"{self.inside}/etc/asterisk.conf", "-rx", command]
        return subprocess.run(line, capture_output=True, text=True, timeout=10, check=False).stdout

    def fares(self) -> str:
        """Whether it lives, and the end of what it said: for a test that failed."""
        ended = self.process.poll() if self.process is not None else None
        state = "was stopped" if self.process is None else "lives" if ended is None else f"ended by itself: {ended}"
        out = (self.folder / "out").read_text(errors="replace") if (self.folder / "out").exists() else ""
        return f"{state}\n{out[-1500:]}\n{self.log[-3000:]}"

    def kill(self) -> None:
        """SIGKILL: a graceful stop takes seconds and refuses calls meanwhile."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        (self.folder / "run/asterisk.ctl").unlink(missing_ok=True)

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        """Kills it and removes its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Asterisk:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- configuration ----

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    def prepare(self) -> None:
        """Writes its configuration, once; starts nothing."""
        if not self.folder.exists():
            self._write()

    def _write(self) -> None:
        for name in ("etc", "run", "spool/recording", "spool/tmp", "spool/outgoing", "log", "db", "keys"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        data = "/usr/share/asterisk" if (self.root / "usr/share/asterisk").exists() else "/var/lib/asterisk"
        files = {
            "asterisk.conf": f"""
[directories]
astetcdir => {self.inside}/etc
astmoddir => {self._modules()}
astvarlibdir => {self.inside}/db
astdbdir => {self.inside}/db
astkeydir => {self.inside}/keys
astdatadir => {data}
astagidir => {self.inside}
astspooldir => {self.inside}/spool
astrundir => {self.inside}/run
astlogdir => {self.inside}/log
[options]
verbose = 1
maxfiles = 20000
""",
            "modules.conf": "[modules]\nautoload=yes\n"
            + "".join(f"noload = {name}.so\n" for name in _NOLOAD if name not in self.modules),
            "logger.conf": "[logfiles]\nmessages => notice,warning,error\nconsole => notice,warning,error\n",
            "http.conf": f"""
[general]
enabled=yes
bindaddr=127.0.0.1
bindport={self.http_port}
sessionlimit={self.session_limit}
session_keep_alive=15000
{self._https()}
""",
            "ari.conf": self._ari(),
            "websocket_client.conf": self._clients(),
            "rtp.conf": f"[general]\nrtpstart={self.rtp_start + 5000}\nrtpend={self.rtp_start + 9000}\nicesupport=no\nstrictrtp=no\n",
            "pjsip.conf": self._pjsip(),
            "extensions.conf": (HERE / "extensions.conf").read_text(),
            "musiconhold.conf": f"[default]\nmode=files\ndirectory=moh\n[tune]\nmode=files\ndirectory={self.inside}/tune\n",
            "indications.conf": (
                "[general]\ncountry=us\n[us]\ndescription=us\nringcadence=2000,4000\ndial=350+440\n"
                "busy=480+620/500,0/500\nring=440+480/2000,0/4000\ncongestion=480+620/250,0/250\n"
            ),
            "stasis.conf": "[threadpool]\ninitial_size=5\nidle_timeout_sec=20\nmax_size=50\n",
            "cdr.conf": "[general]\nenable=no\n",
            "cel.conf": "[general]\nenable=no\n",
            "features.conf": "[general]\n",
            "udptl.conf": "[general]\n",
            "queues.conf": "[general]\n[lab]\nstrategy=ringall\n",
            "confbridge.conf": "[general]\n[default_user]\ntype=user\n[default_bridge]\ntype=bridge\n",
            "acl.conf": "",
            "ccss.conf": "[general]\n",
            "codecs.conf": "",
            "sorcery.conf": "[res_pjsip]\n",
            "voicemail.conf": "[general]\n[default]\n",
        }
        self._tune()
        for name, text in (files | self.files).items():
            (self.etc / name).write_text(text)

    def _tune(self) -> None:
        """Music that can be told from all else: the class `tune`, 620 Hz."""
        (self.folder / "tune").mkdir()
        with wave.open(str(self.folder / "tune/620.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            samples = (int(8000 * math.sin(2 * math.pi * 620 * i / 8000)) for i in range(8000))
            file.writeframes(b"".join(value.to_bytes(2, "little", signed=True) for value in samples))

    def _modules(self) -> str:
        for path in ("usr/lib/x86_64-linux-gnu/asterisk/modules", "usr/lib/asterisk/modules", "usr/lib64/asterisk/modules"):
            if (self.root / path).exists():
                return f"/{path}"
        found = next((self.root / "usr/lib").glob("*/asterisk/modules"), None)
        return f"/{found.relative_to(self.root)}" if found else "/usr/lib/asterisk/modules"

    def _https(self) -> str:
        if not self.tls_port:
            return ""
        files = f"tlscertfile={self.inside}/etc/server.pem\ntlsprivatekey={self.inside}/etc/server.key"
        return f"tlsenable=yes\ntlsbindaddr=127.0.0.1:{self.tls_port}\n{files}"

    def _ari(self) -> str:
        text = f"""
[general]
enabled=yes
pretty=no
websocket_write_timeout=5000
{self.extra_ari}
[{USER}]
type=user
read_only=no
password={PASSWORD}
"""
        for app in self.listen:
            text += f"""
[out-{app}]
type=outbound_websocket
websocket_client_id=client-{app}
apps={app}
local_ari_user={USER}
subscribe_all=no
"""
        return text

    def _clients(self) -> str:
        text = ""
        for app, url in self.listen.items():
            text += f"""
[client-{app}]
type=websocket_client
uri={url}
protocols=ari
username={USER}
password={PASSWORD}
connection_type=persistent
connection_timeout=1000
reconnect_interval=300
reconnect_attempts=10
{self.client_tls.format(etc=f"{self.inside}/etc")}
"""
        for name, url in self.media_clients.items():
            text += f"""
[{name}]
type=websocket_client
uri={url}
protocols=media
connection_type=per_call_config
connection_timeout=1000
reconnect_interval=300
reconnect_attempts=1
tls_enabled=no
"""
        return text

    def _pjsip(self) -> str:
        endpoint = """
type=endpoint
disallow=all
allow=ulaw,alaw
direct_media=no
media_address=127.0.0.1
rtp_symmetric=yes
dtmf_mode=rfc4733
allow_transfer=yes
pickup_group=1
send_rpid=yes
trust_id_inbound=yes
"""
        return f"""
[global]
type=global
user_agent=lab
[system]
type=system
timer_t1=500
threadpool_max_size=20
[udp]
type=transport
protocol=udp
bind=127.0.0.1:{self.sip_port}
[anonymous]{endpoint}
context=in
identify_by=ip
[far]{endpoint}
context=in
call_group=1
[far-auth]{endpoint}
context=in
[sealed]{endpoint}
context=in
media_encryption=sdes
""" + "".join(f"""
[{name}]{endpoint}
context=in
call_group=1
aors={name}
[{name}]
type=aor
max_contacts=5
""" for name in ("alice", "bob")) + f"""
[info]{endpoint.replace("rfc4733", "info")}
context=in
[inband]{endpoint.replace("rfc4733", "inband")}
context=in
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=SUITES, default=TESTING)
    parser.add_argument("--http-port", type=int, default=8088)
    parser.add_argument("--sip-port", type=int, default=5060)
    options = parser.parse_args()
    asterisk = Asterisk(suite=options.suite, http_port=options.http_port, sip_port=options.sip_port).start()
    print(f"Asterisk is up: {asterisk.url} (user and password {USER}), SIP 127.0.0.1:{asterisk.sip_port}; Ctrl-C ends it")
    try:
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        asterisk.stop()


if __name__ == "__main__":
    main()
