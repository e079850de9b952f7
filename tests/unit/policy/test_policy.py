"""What an endpoint may do: verbs and operations, judged by one table; each fault names the key to write."""

from __future__ import annotations

import ipaddress
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.actions.decode import decode_steps
from hookrouter.actions.judging import Rules, refuse
from hookrouter.errors import AnswerRefused
from hookrouter.policy.functions import HARMLESS, function_fault
from hookrouter.policy.hosts import address, host_fault, host_of_pair, host_of_url, is_public
from hookrouter.policy.places import context_fault, endpoint_fault
from hookrouter.policy.policy import Policy

HARMLESS_ONLY = Policy()


def told(actions: list[dict[str, Any]], policy: Policy = HARMLESS_ONLY, base: str = "") -> list[str]:
    """Every fault of an answer."""
    try:
        refuse(decode_steps(json.dumps(actions).encode()), Rules(policy, base), "")
    except AnswerRefused as refused:
        return [str(fault) for fault in refused.faults]
    return []


# ---- functions ----

DANGEROUS = [
    "AST_CONFIG(ari.conf,hookrouter,password)", "CURL(http://10.0.0.1/)", "GLOBAL(X)", "REALTIME(x,y)", "SHELL(id)",
    "EVAL(${CURL(http://h/)})", "CUT(CURL(http://h/),x,1)", "LEN(${AST_CONFIG(a,b,c)})", "CHANNEL(hangup_handler_push)",
    "CHANNEL( HANGUP_HANDLER_WIPE)", "IMPORT(PJSIP/a-1,X)", "SHARED(X,PJSIP/a-1)", "ODBC_SQL(select)", "DB(a/b)", "FILE(/etc/passwd)",
    "ENV(PATH)", "CHANNEL(after_bridge_goto)", "_GLOBAL(X)", "curl(http://h/)", "TOUPPER(${SHELL (id",
    "PERIODIC_HOOK(evil,s,1)", 'CHANNEL("hangup_handler_push")', "CHANNEL(hang\\up_handler_wipe)", "LEN(${${X}(http://h/)})",
    "MD5($[1](x))", "CHANNEL(dtmf_features)",
]  # fmt: skip


@pytest.mark.parametrize("name", DANGEROUS)
def test_no_field_names_a_function_that_is_not_listed(name: str) -> None:
    """Whatever the verb or operation, and with the key that would allow it."""
    answers: list[list[dict[str, Any]]] = [
        [{"action": "getVariable", "variable": name}],
        [{"action": "getVariable", "variables": ["LANG", name]}],
        [{"action": "setVariable", "variable": name, "value": "x"}],
        [{"action": "setVariable", "variables": {name: "x"}}],
        [{"action": "setVariable", "variable": "X", "value": "${" + name + "}"}],
        [{"action": "dialplan", "context": "subs", "read": [name]}],
        [{"action": "originate", "to": "PJSIP/a", "variables": {name: "x"}}],
        [{"action": "originate", "to": "PJSIP/a", "variables": {"X": "a ${" + name + "} b"}}],
        [{"action": "dial", "to": [{"endpoint": "PJSIP/a", "variables": {"X": "$[" + name + "]"}}]}],
        [{"action": "stream", "to": "bot", "metadata": {name: "x"}}],
        [{"action": "channels.getChannelVar", "variable": name}],
        [{"action": "channels.getChannelVars", "variables": [name]}],
        [{"action": "channels.setChannelVar", "variable": name, "value": "x"}],
        [{"action": "channels.setChannelVar", "variable": "X", "value": "${" + name + "}"}],
        [{"action": "channels.setChannelVars", "variables": {"X": {"value": "${" + name + "}"}}}],
        [{"action": "channels.originate", "endpoint": "PJSIP/a", "app": "x", "variables": {name: "x"}}],
        [{"action": "asterisk.getGlobalVar", "variable": name}],
        [{"action": "pause", "seconds": 0, "onError": [{"action": "getVariable", "variable": name}]}],
    ]
    for answer in answers:
        faults = told(answer)
        assert faults, answer
        said = ("functions = [", "is neither the name of a variable", "split this at its comma")
        assert all(any(part in fault for part in said) for fault in faults)


def test_harmless_functions_may_be_named() -> None:
    """And plain variables, and values that only look like functions."""
    for name in HARMLESS:
        assert told([{"action": "getVariable", "variable": f"{name}(x)"}]) == []
    assert told([{"action": "setVariable", "variables": {"NOTE": "Anna (Sales)", "CALLERID(name)": "Anna"}}]) == []


def test_what_is_listed_may_be_named() -> None:
    """A function, a part of one, or all of them; `harmless` is not said by itself."""
    assert function_fault("CURL", "x", ["harmless", "CURL"]) == ""
    assert function_fault("CALLERID", "num", ["CURL"])
    assert function_fault("CHANNEL", "hangup_handler_push", ["CHANNEL(hangup_handler*)"]) == ""
    assert function_fault("CHANNEL", "state", ["CHANNEL(hangup_handler*)"])
    assert "CHANNEL(hangup_handler*)" in function_fault("CHANNEL", "hangup_handler_push", ["harmless"])
    assert function_fault("REALTIME", "x,y", ["*"]) == ""


ACTED_ON = [
    "MONITOR_EXEC", "MONITOR_OPTIONS", "MIXMONITOR_EXEC", "MEETME_AGI_BACKGROUND", "TOUCH_MIXMONITOR_OPTIONS", "TOUCH_MIXMONITOR",
    "MVM_FILENAME", "CONNECTED_LINE_SEND_SUB", "CONNECTED_LINE_SEND_SUB_ARGS", "REDIRECTING_SEND_SUB", "REDIRECTING_SEND_MACRO",
    "CONNECTED_LINE_CALLEE_SEND_MACRO", "GOTO_ON_BLINDXFR", "GOSUB_RESULT", "MACRO_RESULT",
    "END_WHILE_X", "WHILE_0", "IF_0", "END_IF_0",
    "DYNAMIC_FEATURES", "BRIDGE_FEATURES", "BLINDTRANSFER", "ATTENDEDTRANSFER", "PARKINGDYNCONTEXT", "OUTBOUND_GROUP",
    "OUTBOUND_GROUP_ONCE", "DUNDIDIALARGS", "BRIDGE_PLAY_SOUND", "LIMIT_CONNECT_FILE", "CONF_LIMIT_WARNING_FILE",
    "ATTENDED_TRANSFER_COMPLETE_SOUND", "CALLWAITDELUXEANNOUNCEMENT", "SIPADDHEADER01",
]  # fmt: skip
"""Variables by which a plain value runs something, writes a file, plays one of anybody's, calls, or goes into the dialplan."""
PLACES = ["TRANSFER_CONTEXT", "FORWARD_CONTEXT", "EXITCONTEXT", "SPY_EXIT_CONTEXT", "MEETME_EXIT_CONTEXT"]


def setting(name: str, value: str) -> list[dict[str, Any]]:
    """An action for each way to set a variable."""
    return [
        {"action": "setVariable", "variable": name, "value": value},
        {"action": "setVariable", "variables": {"LANG": "de", name: value}},
        {"action": "originate", "to": "PJSIP/a", "variables": {name: value}},
        {"action": "dial", "to": [{"endpoint": "PJSIP/a", "variables": {name: value}}]},
        {"action": "stream", "to": "bot", "metadata": {name: value}},
        {"action": "channels.setChannelVar", "variable": name, "value": value},
        {"action": "channels.setChannelVars", "variables": {name: {"value": value, "report_events": False}}},
        {"action": "channels.originate", "endpoint": "PJSIP/a", "app": "x", "variables": {name: value}},
        {"action": "channels.create", "endpoint": "PJSIP/a", "app": "x", "variables": {name: value}},
        {"action": "asterisk.setGlobalVar", "variable": name, "value": value},
        {"action": "gather", "prompt": "sound:a", "onError": [{"action": "setVariable", "variable": name, "value": value}]},
    ]


@pytest.mark.parametrize("prefix", ["", "_", "__", "___"])
@pytest.mark.parametrize("name", ACTED_ON)
def test_no_variable_is_a_way_around_what_is_listed(name: str, prefix: str) -> None:
    """What Asterisk acts on is set by who may, however it is inherited; reading, removing and other variables are free."""
    for action in setting(prefix + name, "a,s,1"):
        (fault,) = told([action])
        assert f'write functions = ["harmless", "{name}"]' in fault, action
        assert told([action], Policy(functions=("harmless", name))) == []
        assert told([action], Policy(functions=("*",))) == []
    assert told([{"action": "getVariable", "variable": prefix + name}, {"action": "setVariable", "variable": prefix + name}]) == []
    for action in setting(f"{prefix}MY_{name}", "a,s,1"):
        assert told([action]) == []


@pytest.mark.parametrize("prefix", ["", "_", "__"])
@pytest.mark.parametrize("name", PLACES)
def test_a_variable_that_is_a_context_is_one_that_calls_may_go_to(name: str, prefix: str) -> None:
    """A phone that transfers or forwards goes no further than `continue` does."""
    policy = Policy(contexts=("ivr-*",))
    for action in setting(prefix + name, "outbound"):
        (fault,) = told([action], policy)
        assert "contexts = [" in fault, action
        assert told([action]) == []
    for value in ("ivr-main", ""):
        assert [fault for action in setting(prefix + name, value) for fault in told([action], policy)] == []


# ---- endpoints ----


@pytest.mark.parametrize(
    "endpoint", ["Local/100@from-internal", "local/100@from-internal/n", "LOCAL/100", "Local/100@a@b"]
)
def test_local_is_listed_by_who_wants_it(endpoint: str) -> None:
    """In every verb and operation that calls."""
    answers: list[dict[str, Any]] = [
        {"action": "dial", "to": endpoint},
        {"action": "dial", "to": [["PJSIP/a", {"endpoint": endpoint}]]},
        {"action": "originate", "to": endpoint},
        {"action": "transfer", "to": endpoint},
        {"action": "redirect", "to": endpoint},
        {"action": "channels.originate", "endpoint": endpoint, "app": "x"},
        {"action": "channels.originateWithId", "channelId": "x", "endpoint": endpoint, "app": "x"},
        {"action": "channels.create", "endpoint": endpoint, "app": "x"},
        {"action": "channels.redirect", "endpoint": endpoint},
        {"action": "endpoints.refer", "to": "pjsip:a", "from": "sip:b@h", "refer_to": endpoint},
    ]
    for answer in answers:
        (fault,) = told([answer])
        assert "endpoints = [" in fault
        assert told([answer], Policy(endpoints=("*", "Local/*"))) == []


@pytest.mark.parametrize(
    ("endpoint", "listed", "may"),
    [
        ("Local/100@from-internal", ["Local/*@from-internal"], True),
        ("local/100@from-internal/n", ["Local/*@from-internal"], True),
        ("Local/100@other", ["Local/*@from-internal"], False),
        ("Local/100@x@from-internal", ["Local/*@from-internal"], False),
        ("PJSIP/+4930@trunk", ["PJSIP/*@trunk"], True),
        ("PJSIP/+4930@other", ["PJSIP/*@trunk"], False),
        ("PJSIP/x/sip:1@evil@trunk", ["PJSIP/*@trunk"], False),
        ("PJSIP/a/sip:x@h", ["PJSIP/*"], True),
        ("pjsip/a", ["PJSIP/a"], True),
        ("PJSIP/ab", ["PJSIP/a"], False),
        ("IAX2/a", ["PJSIP/*"], False),
        ("DAHDI/g1/0900", ["*"], True),
        ("PJSIP/a", [], False),
    ],
)
def test_patterns_of_endpoints(endpoint: str, listed: list[str], may: bool) -> None:
    assert (endpoint_fault(endpoint, listed) == "") is may


@given(st.text(st.sampled_from("ab/@*"), max_size=8), st.text(st.sampled_from("ab/@"), max_size=10))
def test_patterns_mean_what_is_said_of_them(pattern: str, text: str) -> None:
    """Against the plainest reading: each way to fill each `*` is tried."""

    def fits(pattern: str, text: str) -> bool:
        if not pattern or pattern == "*":
            return not text or bool(pattern)
        if pattern[0] == "*":
            return fits(pattern[1:], text) or (text[:1] not in ("", "/", "@") and fits(pattern, text[1:]))
        return text[:1] == pattern[0] and fits(pattern[1:], text[1:])

    assert (context_fault(text, [pattern]) == "") is fits(pattern, text)


def test_where_calls_go_is_where_they_may() -> None:
    """`continue`, `dialplan` and originating into the dialplan; back to where a call came from it may always."""
    policy = Policy(contexts=("ivr-*", "voicemail"))
    assert told([{"action": "continue"}, {"action": "continue", "context": "ivr-main"}], policy) == []
    for answer in (
        {"action": "continue", "context": "outbound"},
        {"action": "dialplan", "context": "outbound"},
        {"action": "channels.continueInDialplan", "context": "outbound"},
        {"action": "channels.originate", "endpoint": "PJSIP/a", "context": "outbound", "extension": "1"},
        {"action": "channels.originate", "endpoint": "PJSIP/a", "extension": "1"},
    ):
        (fault,) = told([answer], policy)
        assert "contexts = [" in fault
    assert context_fault("anything", ["*"]) == ""


# ---- hosts ----

LOOPBACK = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.0.0.1", "017700000001", "127.0.0.1.", "localhost",
    "LOCALHOST.", "a.localhost", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "0", "0.0.0.0", "::",
]  # fmt: skip
PRIVATE = [
    "10.0.0.1", "192.168.0.1", "172.16.5.4", "169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00::1", "fec0::1",
    "100.64.0.1", "router", "nas.local", "db.internal", "224.0.0.1", "255.255.255.255", "metadata.google.internal",
    "10.0x7f", "256.256.256.256",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK + PRIVATE)
def test_an_address_of_ones_own_network_is_listed_by_who_wants_it(host: str) -> None:
    """However it is spelt; in media, streams and operations."""
    assert not is_public(host.lower())
    written = f"[{host}]" if ":" in host else host
    answers: list[dict[str, Any]] = [
        {"action": "stream", "to": f"rtp:{written}:4000"},
        {"action": "stream", "to": f"audiosocket:{written}:4000"},
        {"action": "channels.externalMedia", "app": "x", "format": "ulaw", "external_host": f"{written}:4000"},
    ]
    if "%" not in host:
        answers += [
            {"action": "play", "media": f"http://{written}/x.wav"},
            {"action": "play", "media": f"sound:HTTP://{written}:8080/x.wav"},
            {"action": "gather", "prompt": [f"http://{written}/x.wav"]},
            {"action": "channels.play", "media": f"sound:http://{written}/x.wav"},
            {"action": "dial", "to": "PJSIP/a", "whisper": f"http://{written}/x.wav"},
        ]
    for answer in answers:
        faults = told([answer])
        assert len(faults) == 1, answer
        assert "hosts = [" in faults[0] or "no http" in faults[0]


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("AudioSocket/10.0.0.5:9092/40325ec2-5efd-4bd3-805f-53576e581d13", "10.0.0.5"),
        ("audiosocket/localhost:9092/x", "localhost"),
        ("UnicastRTP/127.0.0.1:4000/c(ulaw)", "127.0.0.1"),
        ("UNICASTRTP/[::1]:4000", "::1"),
        ("MulticastRTP/basic/239.0.0.1:4000", "239.0.0.1"),
        ("MulticastRTP/linksys/8.8.8.8:4000/0x7f.1:4001", "0x7f.1"),
        ("UnicastRTP/", ""),
    ],
)
def test_calling_a_host_is_sending_media_there(endpoint: str, host: str) -> None:
    """Technologies that have nobody but a host to call reach no further than `stream` does, whichever verb calls."""
    for action in (
        {"action": "dial", "to": endpoint},
        {"action": "originate", "to": endpoint},
        {"action": "channels.create", "endpoint": endpoint, "app": "x"},
    ):
        (fault,) = told([action])
        if host:
            assert f"`{host}` is not a host that this route's media may go to" in fault
            assert told([action], Policy(hosts=("public", host))) == []
    assert told([{"action": "dial", "to": "AudioSocket/8.8.8.8:9092/x"}]) == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "PJSIP/trunk/sip:100@{}", "pjsip/trunk/SIP:100@{}:5061;transport=tcp", "PJSIP/sips:{}", "PJSIP/t/sip:a:b@{};x=@8.8.8.8",
        "PJSIP/t/sip:a@8.8.8.8@{}", "PJSIP/t/sip:a@{}@8.8.8.8", "PJSIP/t/sip:a@8.8.8.8;maddr={}", "PJSIP/t/sip:a@8.8.8.8;MADDR={};lr",
        "PJSIP/t/sip:{};x=a@8.8.8.8", "SIP/100@{}", "IAX2/user:pw@{}/100@default", "IAX2/{}/100", "OOH323/100@{}",
    ],
)  # fmt: skip
def test_an_address_in_a_dial_string_is_a_host(endpoint: str) -> None:
    """Where the operator has written `hosts`; however the address is spelt, and wherever in the URI it stands."""
    written = Policy(hosts=("public",), dial_hosts=("public",))
    for host in ("127.0.0.1", "10.0.0.5", "2130706433", "0x7f.1"):
        to = endpoint.format(host)
        for action in (
            {"action": "dial", "to": to},
            {"action": "dial", "to": [{"endpoint": to}]},
            {"action": "originate", "to": to},
            {"action": "transfer", "to": to},
            {"action": "redirect", "to": to},
            {"action": "channels.create", "endpoint": to, "app": "x"},
        ):
            (fault,) = told([action], written)
            assert f"`{host}` is not a host" in fault
            assert told([action]) == []
            assert told([action], Policy(dial_hosts=("public", "127.0.0.0/8", "10.0.0.5"))) == []
        assert told([{"action": "dial", "to": endpoint.format("8.8.8.8")}], written) == []


def test_a_refer_is_to_a_host_too() -> None:
    refer = {"action": "endpoints.refer", "to": "pjsip:a", "from": "sip:b@h", "refer_to": "sip:x@10.0.0.5"}
    (fault,) = told([refer], Policy(dial_hosts=("public",)))
    assert "`10.0.0.5` is not a host" in fault
    refer["refer_to"] = "sip:x@[fd00::5]:5060"
    (fault,) = told([refer], Policy(dial_hosts=("public",)))
    assert "`fd00::5` is not a host" in fault


@pytest.mark.parametrize(
    "action",
    [
        {"action": "sendMessage", "to": "sip:x@10.0.0.5", "from": "sip:b@10.0.0.1", "body": "x"},
        {"action": "sendMessage", "to": "pjsip:alice/sip:x@10.0.0.5", "from": "sip:b@h", "body": "x"},
        {"action": "endpoints.sendMessage", "to": "pjsip:sip:x@10.0.0.5", "from": "sip:b@h"},
        {"action": "endpoints.sendMessageToEndpoint", "tech": "PJSIP", "resource": "alice/sip:x@10.0.0.5", "from": "sip:b@h"},
    ],
    ids=lambda action: str(action.get("to", action["action"])),
)
def test_a_message_is_to_a_host_too(action: dict[str, Any]) -> None:
    """Where `hosts` is written; who it is from is nobody that is asked."""
    (fault,) = told([action], Policy(dial_hosts=("public",)))
    assert "`10.0.0.5` is not a host" in fault
    assert told([action]) == []
    assert told([{"action": "sendMessage", "to": "pjsip:alice", "from": "sip:b@10.0.0.1", "body": "x"}], Policy(dial_hosts=())) == []


@pytest.mark.parametrize(
    "endpoint",
    ["PJSIP/alice", "PJSIP/+4930@trunk", "PJSIP/10.0.0.1@trunk", "SIP/100", "SIP/²", "IAX2/peer/4930123456", "DAHDI/g1/2130706433"],
)
def test_a_peer_of_asterisks_own_configuration_is_no_host(endpoint: str) -> None:
    assert told([{"action": "dial", "to": endpoint}], Policy(dial_hosts=("public",))) == []


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "media.example.com", "2001:4860:4860::8888", "134744072", "a.b.c.de", "64:ff9b::808:808"]
)
def test_the_internet_is_public(host: str) -> None:
    written = f"[{host}]" if ":" in host else host
    assert (
        told([{"action": "play", "media": f"https://{written}/x.wav"}, {"action": "stream", "to": f"rtp:{written}:9"}])
        == []
    )


def test_a_client_of_asterisks_own_configuration_is_no_host() -> None:
    external = {
        "action": "channels.externalMedia",
        "app": "x",
        "format": "ulaw",
        "transport": "websocket",
        "external_host": "bot",
    }
    assert told([{"action": "stream", "to": "bot"}, external]) == []


@pytest.mark.parametrize(
    ("host", "listed", "may"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("0x0a010203", ["10.1.2.3"], True),
        ("11.1.2.3", ["10.0.0.0/8"], False),
        ("a.media.internal", ["*.media.internal"], True),
        ("media.internal", ["*.media.internal"], False),
        ("evilmedia.internal", ["media.internal"], False),
        ("Media.Internal.".lower(), ["media.internal"], True),
        ("8.8.8.8", ["media.internal"], False),
        ("127.0.0.1", ["*"], True),
        ("fd00::5", ["fd00::/8"], True),
        ("::ffff:10.0.0.1", ["10.0.0.0/8"], True),
    ],
)
def test_hosts_that_are_listed(host: str, listed: list[str], may: bool) -> None:
    assert (host_fault(host, listed) == "") is may


def test_the_host_of_what_the_operator_wrote_is_always_among_them() -> None:
    assert host_fault("127.0.0.1", ["public"], ["127.0.0.1"]) == ""


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://a.example@127.0.0.1/", ""), ("http://a.example\\@127.0.0.1/", ""), ("http://%31%32%37.0.0.1/", ""),
     ("http://１２７.0.0.1/", ""),
     ("http://A.example:80/", "a.example"), ("http://[::1]/", "::1"), ("http://[::1/", "")],
)  # fmt: skip
def test_a_host_that_reads_in_two_ways_is_none(url: str, host: str) -> None:
    assert host_of_url(url) == host


def test_a_host_and_a_port() -> None:
    assert [host_of_pair(pair) for pair in ("h:1", "[::1]:1", "::1", "H", "[::1]")] == ["h", "::1", "::1", "h", "::1"]


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_address_is_this_address(found: ipaddress.IPv4Address) -> None:
    """As one number, in parts, octal, hexadecimal, within IPv6."""
    number = int(found)
    first, second, third, fourth = found.packed
    spellings = [
        str(found), str(number), hex(number), f"0{number:o}" if number else "00", f"{first}.{number & 0xFFFFFF}",
        f"{first}.{second}.{number & 0xFFFF}", f"{first:#x}.{second:#x}.{third}.{fourth}", f"::ffff:{found}", f"{found}.",
    ]  # fmt: skip
    assert {address(text) for text in spellings} == {found}


@pytest.mark.parametrize("lang", ["../../spool/recording", "/etc", "de/../..", "de/x", "..", "a b", "de\n", "x" * 41, "de..fr"])
def test_a_language_is_no_path(lang: str) -> None:
    """In verbs, operations, variables: Asterisk makes a folder of it, from which sounds are played."""
    for action in (
        {"action": "play", "media": "sound:a", "lang": lang},
        {"action": "gather", "prompt": [{"action": "play", "media": "sound:a", "lang": lang}]},
        {"action": "channels.play", "media": "sound:a", "lang": lang},
        {"action": "bridges.playWithId", "bridgeId": "b", "playbackId": "p", "media": "sound:a", "lang": lang},
        {"action": "setVariable", "variable": "CHANNEL(language)", "value": lang},
        {"action": "originate", "to": "PJSIP/a", "variables": {"CHANNEL(language)": lang}},
        {"action": "channels.setChannelVars", "variables": {"CHANNEL(language)": {"value": lang}}},
    ):
        assert any(word in fault for fault in told([action]) for word in ("name of a language", "cannot be printed")), action
    for good in ("de", "en_GB", "pt-BR", "de.utf8@x", ""):
        assert told([{"action": "channels.play", "media": "sound:a", "lang": good}]) == []


# ---- the rest ----


def test_more_legs_at_a_time_than_there_may_be_are_told_before_any_rings() -> None:
    (fault,) = told([{"action": "dial", "to": ["PJSIP/a"] * 3}], Policy(max_legs=2))
    assert fault == "/0/to: 3 legs at a time; the `max_legs` of this route is 2"
    assert told([{"action": "dial", "to": [["PJSIP/a"] * 2, ["PJSIP/b"] * 2]}], Policy(max_legs=2)) == []


def test_a_url_at_any_depth_is_of_an_origin_that_is_allowed() -> None:
    nested = {"action": "gather", "prompt": "sound:a", "onError": [{"action": "fetch", "url": "https://evil.example/"}]}
    (fault,) = told([nested], base="https://a.example/")
    assert fault.startswith("/0/onError/0/url: `https://evil.example/` is of another origin")
    assert 'allow_urls = ["https://evil.example"]' in fault


@pytest.mark.parametrize(
    ("operation", "params", "fault"),
    [
        ("channels.originateWithId", {"endpoint": "Local/1@x"}, "endpoints ="),
        ("channels.playWithId", {"media": ["sound:a", "sound:http://10.0.0.1/x"]}, "hosts ="),
        ("channels.getChannelVar", {"variable": "CURL(x)"}, "functions ="),
        ("channels.getChannelVar", {"variable": "DIALPLAN_EXISTS(a,b,1)"}, ""),
        ("channels.setChannelVar", {"variable": "__MONITOR_EXEC", "value": "id"}, "functions ="),
        ("channels.originateWithId", {"endpoint": "PJSIP/a", "variables": {"_MONITOR_EXEC": "id"}}, "functions ="),
        ("channels.hangup", {"channelId": "1"}, ""),
    ],
)
def test_a_request_is_judged_again_before_it_leaves(operation: str, params: dict[str, Any], fault: str) -> None:
    """What verbs themselves use of the dialplan is not the endpoint's."""
    found = Policy(functions=()).request_fault(operation, params)
    assert (fault in found) if fault else found == ""


@pytest.mark.parametrize(
    "value",
    ["${" + "A(" * 60_000, "${" + "(A(" * 40_000, "${" + "A" * 120_000, "$[" + "A " * 60_000, "${" + "LEN(" * 30_000, "(" * 120_000],
    ids=["unlisted", "parentheses", "one name", "many names", "listed", "only parentheses"],
)
def test_the_longest_value_is_judged_at_once(value: str) -> None:
    """The work grows with its length, and no faster."""
    began = time.process_time()
    told([{"action": "setVariable", "variable": "X", "value": value}])
    assert time.process_time() - began < 0.2


LONG = "a-" * 120_000


@pytest.mark.parametrize(
    "action",
    [
        {"action": "continue", "context": LONG},
        {"action": "continue", "extension": LONG},
        {"action": "channels.continueInDialplan", "context": LONG},
        {"action": "channels.originate", "endpoint": "PJSIP/a", "context": LONG, "extension": "1"},
        {"action": "channels.create", "endpoint": f"PJSIP/{LONG}", "app": "a"},
        {"action": "channels.redirect", "endpoint": f"PJSIP/{LONG}"},
        {"action": "channels.create", "endpoint": f"PJSIP/a/sip:{'8.8.8.8@' * 30_000}", "app": "a"},
        {"action": "endpoints.refer", "to": "pjsip:a", "from": "sip:b@h", "refer_to": f"sip:{LONG}"},
        {"action": "setVariable", "variable": "TRANSFER_CONTEXT", "value": LONG},
        {"action": "setVariable", "variables": {f"LIMIT_{number}_FILEX": "v" for number in range(9000)}},
        {"action": "channels.externalMedia", "app": "a", "format": "ulaw", "external_host": LONG},
        {"action": "channels.play", "media": f"http://{LONG}/a.wav"},
        {"action": "channels.play", "media": "sound:a", "lang": LONG},
    ],
    ids=lambda action: str(action["action"]) + " " + str(list(action)[-1]),
)
def test_the_longest_name_is_judged_at_once(action: dict[str, Any]) -> None:
    """Whatever patterns the operator has written: names have a length, as they have in Asterisk."""
    patterns = ("a-*-*-*-*-b", "PJSIP/a-*-*-*-*-b", "PJSIP/*-*-*-*@*")
    tight = Policy(endpoints=patterns[1:], contexts=patterns[:1], hosts=("public", "*.a.test"), dial_hosts=("public", "*.a.test"))
    began = time.process_time()
    told([action], tight)
    assert time.process_time() - began < 1  # it was minutes


@pytest.mark.parametrize(
    "caller", [" " * 60_000 + "<<", '"' + "\\a" * 30_000, "a" * 100_000, " " * 200 + "<<", '"' + "\\a" * 100, "<" * 250]
)
def test_the_longest_caller_id_is_judged_at_once(caller: str) -> None:
    began = time.process_time()
    with pytest.raises(AnswerRefused):
        decode_steps(json.dumps([{"action": "originate", "to": "PJSIP/a", "callerId": caller}]).encode())
    assert time.process_time() - began < 0.2
