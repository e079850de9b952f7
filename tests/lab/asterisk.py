"""A private, real Asterisk for tests: its own folder, ports and dialplan, started in a second and killed without mercy.

Phones: an address (`PJSIP/far/sip:…`); `alice` and `bob` register; `info` and `inband` press keys in those ways; `sealed`
speaks SRTP, as caller and as callee (`PJSIP/sealed/sip:…`).

Rules: several run at once from one installation. An `asterisk` on the machine is used if there is one; else a chroot with
Debian testing's package, made once by `python tests/lab/asterisk.py setup` (root, apt's own mirror).

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
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("HOOKROUTER_LAB", Path.home() / ".cache/hookrouter/lab"))
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


def installed() -> Path | None:
    """The root that Asterisk is started from: `/`, a chroot, or None where there is none."""
    if shutil.which("asterisk"):
        return Path("/")
    for root in (CACHE / "forky", Path("/opt/lab/forky")):
        if (root / "usr/sbin/asterisk").exists() and (root / ".ready").exists():
            return root
    return None


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

    def __post_init__(self) -> None:
        root = installed()
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
        root = str(self.root)
        output = open(self.folder / "out", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            command if root == "/" else ["chroot", root, *command],
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
        line = ["asterisk", "-C", f"{self.inside}/etc/asterisk.conf", "-rx", command]
        if str(self.root) != "/":
            line = ["chroot", str(self.root), *line]
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


def setup(folder: Path = CACHE) -> Path | None:
    """Makes sure that there is an Asterisk; where it is. Raises CalledProcessError with what failed."""
    found = installed()
    if found is not None:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    _apt("debootstrap")
    root = folder / "forky"
    if root.exists():  # half made by an earlier run
        _unmount(root)
        shutil.rmtree(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    script = "/usr/share/debootstrap/scripts/sid"
    subprocess.run(["debootstrap", "--variant=minbase", "forky", str(root), _mirror(), script], check=True, stdout=sys.stderr)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    _mount(root)
    for name in ("/etc/apt/apt.conf.d", "/usr/local/share/ca-certificates"):
        _copy_settings(Path(name), root)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", "asterisk", "asterisk-core-sounds-en-wav"]
    subprocess.run(["chroot", str(root), *install], check=True, env=environment, stdout=sys.stderr)
    name = socket.gethostname()
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {name} A.ROOT-SERVERS.NET\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    (root / ".ready").write_text("")
    return root


def _copy_settings(folder: Path, root: Path) -> None:
    """Proxy settings of apt, where the machine has any."""
    for path in folder.glob("*proxy*") if folder.exists() else ():
        shutil.copy(path, root / str(path).lstrip("/"))


def _mirror() -> str:
    """The machine's own: the first in apt's sources."""
    texts = [path.read_text() for path in sorted(Path("/etc/apt").glob("sources.list.d/*"))]
    texts.append(Path("/etc/apt/sources.list").read_text() if Path("/etc/apt/sources.list").exists() else "")
    for text in texts:
        found = re.search(r"^URIs:\s*(\S+/debian/?)\s*$", text, re.M)
        found = found or re.search(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+/debian/?)\s", text, re.M)
        if found:
            return found[1]
    raise RuntimeError("apt's sources name no Debian mirror")


def _there(package: str, command: str) -> bool:
    if command:
        return shutil.which(command) is not None
    return not subprocess.run(["dpkg", "-s", package], capture_output=True, check=False).returncode


def _apt(*packages: str) -> None:
    """What is missing of these: `package`, or `package:command` where any package's command will do."""
    named = [name.partition(":")[::2] for name in packages]
    missing = [package for package, command in named if not _there(package, command)]
    if missing:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment, stdout=sys.stderr)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def _mount(root: Path) -> None:
    for name in ("proc", "dev"):
        if not os.path.ismount(root / name):
            subprocess.run(["mount", "--bind", f"/{name}", str(root / name)], check=True)


def _unmount(root: Path) -> None:
    for name in ("proc", "dev"):
        if os.path.ismount(root / name):
            subprocess.run(["umount", "-l", str(root / name)], check=True)


def ensure_mounted() -> None:
    """After a reboot the chroot has no /proc and /dev."""
    root = installed()
    if root is not None and str(root) != "/" and os.geteuid() == 0:
        _mount(root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["setup", "up"])
    parser.add_argument("--http-port", type=int, default=8088)
    parser.add_argument("--sip-port", type=int, default=5060)
    parser.add_argument("--tools", nargs="*", default=[], help="Debian packages that must be there too")
    options = parser.parse_args()
    if options.what == "setup":
        if options.tools and os.geteuid() == 0 and shutil.which("apt-get"):
            _apt(*options.tools)
        root = setup()
        ensure_mounted()
        print(f"Asterisk: {root}" if root else "no Asterisk: install the package `asterisk`, or run this as root on Debian")
        return
    asterisk = Asterisk(http_port=options.http_port, sip_port=options.sip_port).start()
    print(f"Asterisk is up: {asterisk.url} (user and password {USER}), SIP 127.0.0.1:{asterisk.sip_port}; Ctrl-C ends it")
    try:
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        asterisk.stop()


if __name__ == "__main__":
    main()
