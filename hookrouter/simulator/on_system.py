"""REST on everything else: applications, events, device states, mailboxes, endpoints, sounds, Asterisk itself."""

from __future__ import annotations

from typing import Any

from hookrouter.simulator.apps import App
from hookrouter.simulator.pbx import ASTERISK_ID, VERSION, Pbx
from hookrouter.simulator.rest import DONE, Answer, Params, Refused, handles, listed, number, text, variables

_DEVICE_STATES = (
    "NOT_INUSE", "INUSE", "BUSY", "INVALID", "UNAVAILABLE", "RINGING", "RINGINUSE", "ONHOLD", "UNKNOWN",
)  # fmt: skip


def app_of(pbx: Pbx, params: Params) -> App:
    found = pbx.apps.get(text(params, "applicationName"))
    if found is None:
        raise Refused(404, "Application not found")
    return found


@handles("applications.list")
async def _apps(pbx: Pbx, params: Params) -> Answer:
    return 200, [app.described() for app in pbx.apps.values()]


@handles("applications.get")
async def _app(pbx: Pbx, params: Params) -> Answer:
    return 200, app_of(pbx, params).described()


@handles("applications.subscribe", checks=True)
async def _subscribe(pbx: Pbx, params: Params) -> Answer:
    topics = _sources(pbx, params)
    app = app_of(pbx, params)
    for topic in topics:
        app.subscribe(topic)
    return 200, app.described()


@handles("applications.unsubscribe", checks=True)
async def _unsubscribe(pbx: Pbx, params: Params) -> Answer:
    topics = _sources(pbx, params, "Event source was not subscribed to")
    app = app_of(pbx, params)
    for topic in topics:
        if topic not in app.subscriptions:
            raise Refused(422, "Event source was not subscribed to")
        app.unsubscribe(topic, entirely=True)
    return 200, app.described()


def _sources(pbx: Pbx, params: Params, unknown: str = "Event source does not exist") -> list[str]:
    topics = listed(params, "eventSource")
    if not topics:
        raise Refused(400, "Missing parameter eventSource")
    for topic in topics:
        kind, _, id = topic.partition(":")
        known: Any = {"channel": pbx.channels, "bridge": pbx.bridges}.get(kind)
        if kind not in ("channel", "bridge", "endpoint", "deviceState"):
            raise Refused(400, "Invalid event source URI scheme")
        if known is not None and id and id not in known:
            raise Refused(422, unknown)
    return topics


@handles("applications.filter")
async def _filter(pbx: Pbx, params: Params) -> Answer:
    app = app_of(pbx, params)
    wanted = params.get("filter", {})
    if not isinstance(wanted, dict):
        raise Refused(400, "Invalid body")
    for key in ("allowed", "disallowed"):
        for entry in wanted.get(key) or []:
            if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
                raise Refused(400, "Invalid body")
    if "allowed" in wanted or not wanted:
        app.allowed = wanted.get("allowed") or []
    if "disallowed" in wanted or not wanted:
        app.disallowed = wanted.get("disallowed") or []
    return 200, app.described()


@handles("events.userEvent")
async def _user_event(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "eventName")
    app = pbx.apps.get(text(params, "application"))
    if app is None:
        raise Refused(404, "Application not found")
    fields: dict[str, Any] = {}
    for source in listed(params, "source"):
        kind, _, id = source.partition(":")
        known: Any = {"channel": pbx.channels, "bridge": pbx.bridges}.get(kind, {})
        found = known.get(id)
        if found is None:
            raise Refused(422, "Event source was not found")
        fields[kind] = found.described()
    body = {"eventname": name, **variables(params)}
    pbx.tell(app.name, "ChannelUserevent", eventname=name, userevent=body, **fields)
    return DONE


@handles("events.claimChannel")
async def _claim(pbx: Pbx, params: Params) -> Answer:
    if pbx.claims.get(text(params, "channelId"), "") != "":
        raise Refused(409, "Channel has already been claimed")
    raise Refused(404, "Channel not found or not in broadcast state")


@handles("deviceStates.list")
async def _devices(pbx: Pbx, params: Params) -> Answer:
    return 200, [{"name": name, "state": state} for name, state in pbx.devices.items()]


@handles("deviceStates.get")
async def _device(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "deviceName")
    return 200, {"name": name, "state": pbx.devices.get(name, "UNKNOWN" if name.startswith("Stasis:") else "INVALID")}


@handles("deviceStates.update", checks=True)
async def _set_device(pbx: Pbx, params: Params) -> Answer:
    name, state = text(params, "deviceName"), text(params, "deviceState")
    if not name.startswith("Stasis:"):
        raise Refused(409, "Uncontrolled device specified")
    if state not in _DEVICE_STATES:
        raise Refused(500, "Unknown device")
    pbx.devices[name] = state
    pbx.emit("DeviceStateChanged", f"deviceState:{name}", device_state={"name": name, "state": state})
    return DONE


@handles("deviceStates.delete")
async def _delete_device(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "deviceName")
    if not name.startswith("Stasis:"):
        raise Refused(409, "Uncontrolled device specified")
    pbx.devices.pop(name, None)
    return DONE


# mailboxes: as with res_mwi_external loaded; the lab's Asterisk goes without it and answers 404


@handles("mailboxes.list")
async def _mailboxes(pbx: Pbx, params: Params) -> Answer:
    return 200, [_box(name, counts) for name, counts in pbx.mailboxes.items()]


def _box(name: str, counts: tuple[int, int]) -> dict[str, Any]:
    return {"name": name, "old_messages": str(counts[0]), "new_messages": str(counts[1])}


@handles("mailboxes.get")
async def _mailbox(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "mailboxName")
    if name not in pbx.mailboxes:
        raise Refused(404, "Mailbox not found")
    return 200, _box(name, pbx.mailboxes[name])


@handles("mailboxes.update")
async def _set_mailbox(pbx: Pbx, params: Params) -> Answer:
    pbx.mailboxes[text(params, "mailboxName")] = (number(params, "oldMessages"), number(params, "newMessages"))
    return DONE


@handles("mailboxes.delete")
async def _delete_mailbox(pbx: Pbx, params: Params) -> Answer:
    if pbx.mailboxes.pop(text(params, "mailboxName"), None) is None:
        raise Refused(404, "Mailbox not found")
    return DONE


@handles("endpoints.get")
async def _endpoint(pbx: Pbx, params: Params) -> Answer:
    technology, resource = text(params, "tech"), text(params, "resource")
    if pbx.phones(f"{technology}/{resource}") is None:
        raise Refused(404, "Endpoint not found")
    return 200, {"technology": technology, "resource": resource, "state": "online", "channel_ids": []}


@handles("endpoints.listByTech")
async def _endpoints(pbx: Pbx, params: Params) -> Answer:
    if text(params, "tech") not in ("PJSIP", "Local"):
        raise Refused(404, f"No Endpoints found - invalid tech {text(params, 'tech')}")
    return 200, []


@handles("sounds.list")
async def _sounds(pbx: Pbx, params: Params) -> Answer:
    return 200, [_sound(name) for name in pbx.media.sounds]


def _sound(name: str) -> dict[str, Any]:
    return {"id": name, "formats": [{"language": "en", "format": "slin"}]}


@handles("sounds.get")
async def _one_sound(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "soundId")
    if name not in pbx.media.sounds:
        raise Refused(404, "Sound not found")
    return 200, _sound(name)


@handles("asterisk.ping")
async def _ping(pbx: Pbx, params: Params) -> Answer:
    return 200, {"ping": "pong", "timestamp": pbx.timing.stamp(), "asterisk_id": ASTERISK_ID}


@handles("asterisk.getInfo")
async def _info(pbx: Pbx, params: Params) -> Answer:
    everything: dict[str, Any] = {
        "build": {"os": "Linux", "kernel": "", "machine": "", "options": "", "date": pbx.startup_time, "user": ""},
        "system": {"version": VERSION, "entity_id": ASTERISK_ID},
        "config": {"name": "simulator", "default_language": "en", "setid": {"user": "", "group": ""}},
        "status": {"startup_time": pbx.startup_time, "last_reload_time": pbx.startup_time},
    }
    only = listed(params, "only")
    return 200, {key: one for key, one in everything.items() if not only or key in only}


@handles("asterisk.getGlobalVar", checks=True)
async def _global(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "variable")
    if not name:
        raise Refused(400, "Variable name is required")
    return 200, {"value": pbx.globals.get(name, "")}


@handles("asterisk.setGlobalVar", checks=True)
async def _set_global(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "variable")
    if not name:
        raise Refused(400, "Variable name is required")
    pbx.globals[name] = text(params, "value")
    return DONE


@handles("asterisk.updateObject")
async def _make(pbx: Pbx, params: Params) -> Answer:
    """As an Asterisk whose sorcery.conf names nothing that may be made."""
    raise Refused(403, f"Cannot create sorcery objects of type '{text(params, 'objectType')}'")


@handles("asterisk.getModule")
async def _module(pbx: Pbx, params: Params) -> Answer:
    name = text(params, "moduleName")
    if name not in _MODULES:
        raise Refused(404, "Module could not be found in running modules")
    about = {"name": name, "description": _MODULES[name], "use_count": 0, "status": "Running"}
    return 200, about | {"support_level": "core"}


_MODULES = {"res_http_media_cache.so": "HTTP Media Cache Backend"}
