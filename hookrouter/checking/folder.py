"""What Asterisk's configuration files tell and ARI does not: the dialplan, and every outbound socket by its name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hookrouter.ari.invitation import SORCERY
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.checking import asterisk_files as files
from hookrouter.checking.findings import Findings
from hookrouter.checking.outbound import Outbound, check_outbound


def check_folder(
    folder: Path, asterisks: Sequence[AsteriskSettings], findings: Findings, texts: files.Texts = files.ON_DISK
) -> None:
    """Looks into extensions.conf, ari.conf, websocket_client.conf and sorcery.conf of `folder`, or of `texts` where they are there."""
    apps = {app for settings in asterisks for app in settings.apps}
    try:
        _dialplan(folder, apps, findings, texts)
        _sockets(folder, asterisks, findings, texts)
    except OSError as error:
        findings.wrong(f"--asterisk-config {folder}", f"cannot be read: {error}")


def _dialplan(folder: Path, apps: set[str], findings: Findings, texts: files.Texts) -> None:
    dialplan = files.read_dialplan(folder, texts)
    if dialplan is None:
        findings.not_asked("extensions.conf", f"{folder} has none")
        return
    good = True
    for context, extensions in dialplan.items():
        for name, steps in extensions.items():
            if not files.fits_h(name) or "h" in extensions or not steps:
                continue
            entered = files.leads_to_stasis(dialplan, context, name)
            if entered is not None and _ours(entered, apps):
                good = False
                findings.wrong(
                    steps[0].place,
                    f"`{name}` in [{context}] also fits `h`, to which Asterisk sends each channel that was hung up: the "
                    f"dead call would come to `{entered.data.partition(',')[0]}` once more. Write `_X.` (digits) or "
                    "`_[*#0-9+].`, or add `exten => h,1,NoOp()` to that context",
                )
    named = files.stasis_apps(dialplan)
    if good:
        findings.right("extensions.conf", "no pattern that leads to an app of ours fits `h`")
    for app in sorted(apps - named.keys()):
        findings.note(f"extensions.conf: Stasis({app})", "no line of the dialplan hands calls to it by that name")
    lost = {app.lower(): app for app in apps - named.keys()}  # Asterisk tells names of apps apart by their cases
    for app in sorted(named.keys() - apps):
        if close := get_close_matches(app.lower(), lost, n=1, cutoff=0.8):
            findings.wrong(
                named[app],
                f"Stasis({app}): did you mean `{lost[close[0]]}`, the app of routes.toml that no line enters? Nobody takes "
                "these calls; write one name in both",
            )
        else:
            findings.note(named[app], f"Stasis({app}): routes.toml has no such app; its calls go to another program")
    for other in ("extensions.ael", "extensions.lua"):
        if (folder / other).exists():
            findings.not_asked(other, "only extensions.conf is read")


def _ours(step: files.Priority, apps: set[str]) -> bool:
    app = step.data.partition(",")[0].strip()
    return "$" in app or app in apps


def _sockets(folder: Path, asterisks: Sequence[AsteriskSettings], findings: Findings, texts: files.Texts) -> None:
    ari = files.read_sections(folder, "ari.conf", texts)
    clients = files.read_sections(folder, "websocket_client.conf", texts) or {}
    if ari is None:
        findings.not_asked("ari.conf", f"{folder} has none")
        return
    _users(ari, asterisks, findings)
    sorcery = files.read_sections(folder, "sorcery.conf", texts) or {}
    for one in asterisks:
        if one.mode == "invite":
            _invited(one, ari, sorcery, findings)
    listening = [settings for settings in asterisks if settings.mode == "listen"]
    for section in ari.values():
        if section.get("type") != "outbound_websocket":
            continue
        client = clients.get(section.get("websocket_client_id"))
        settings = _whose(section, client, listening)
        if settings is None:
            continue
        user = ari.get(section.get("local_ari_user"))
        check_outbound(
            settings,
            Outbound(
                f"ari.conf [{section.name}]",
                {item.key: item.value for item in section.items},
                None if client is None else {item.key: item.value for item in client.items},
                None if user is None else {item.key: item.value for item in user.items},
            ),
            findings,
        )
        listening.remove(settings)
    for settings in listening:
        findings.wrong(
            f"asterisk.{settings.name}",
            f"mode listen, but ari.conf has no outbound_websocket with apps = {','.join(settings.apps)}: "
            "nothing makes Asterisk connect; `hookrouter setup` adds the section",
        )


def _invited(
    settings: AsteriskSettings, ari: dict[str, files.Section], sorcery: dict[str, files.Section], findings: Findings
) -> None:
    for socket in files.led_out(ari, settings.apps):
        findings.wrong(socket.place(), f"[{socket.name}] {files.LED_OUT_TWICE}")
    for name, lines in files.lacking(sorcery, SORCERY).items():
        findings.wrong(
            f"sorcery.conf [{name}]",
            f"mode invite, but these lines are not there: {', '.join(lines)}; `hookrouter setup` adds them, then restart Asterisk",
        )


def _whose(
    section: files.Section, client: files.Section | None, listening: Sequence[AsteriskSettings]
) -> AsteriskSettings | None:
    """The Asterisk of routes.toml that this socket leads to: by the path of its URI, else by an app of the same name."""
    path = "" if client is None else client.get("uri").rstrip("/").rpartition("/ari/")[2]
    apps = {app.strip() for app in section.get("apps").split(",")}
    by_path = next((settings for settings in listening if settings.name == path), None)
    return by_path or next((settings for settings in listening if apps & set(settings.apps)), None)


def _users(ari: dict[str, files.Section], asterisks: Sequence[AsteriskSettings], findings: Findings) -> None:
    for settings in asterisks:
        user = ari.get(settings.username)
        if settings.mode != "listen" and (user is None or user.get("type") != "user"):
            findings.wrong(
                f"asterisk.{settings.name}.username", f"ari.conf has no user [{settings.username}] with type = user"
            )
