"""Whole simulated calls against small endpoints: parties, callers, speech, routes of one's own, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rig.endpoint import Endpoint

from hookrouter.config import parse
from hookrouter.errors import ConfigurationError
from hookrouter.simulator.parties import Party, read_party
from hookrouter.simulator.playing_out import Play, Result
from hookrouter.simulator.script import Expect, Person, Script, Step
from hookrouter.simulator.setting import for_routes

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
GATHER = {"action": "gather", "prompt": "sound:beep", "maxDigits": 1, "timeout": 1}
SPEED = 20.0


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint() as running:
        yield running


async def play(endpoint: Endpoint, script: Script, **more: Any) -> Result:
    return await Play(endpoint.url, script, speed=SPEED, **more).run()


def told(result: Result) -> list[str]:
    return [problem.text() for problem in result.problems]


async def test_a_sound_of_ones_own_is_told_with_the_remedy(endpoint: Endpoint) -> None:
    """The simulator has the core sounds only; Asterisk may well have this one."""
    endpoint.answers["StasisStart"] = [[{"action": "play", "media": "sound:my-welcome"}, HANGUP]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    (problem,) = told(await play(endpoint, Script()))
    assert "sound:my-welcome" in problem
    assert "[sounds]" in problem


@pytest.mark.parametrize("how", ["busy", "noAnswer", "rejected", "unavailable", "answered", "late:2"])
async def test_a_party_can_be_anything(endpoint: Endpoint, how: str) -> None:
    """What the endpoint is told of the dial is what was asked for."""
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": "PJSIP/alice", "timeout": 1}]]
    endpoint.answers["DialCompleted"] = [[HANGUP]]
    result = await play(endpoint, Script(dial={"PJSIP/ali*": how}))
    assert told(result) == []
    (done,) = endpoint.of("DialCompleted")
    assert done.data["status"] == ("answered" if how.startswith("late") else how)


@pytest.mark.parametrize(("how", "follows"), [("answered", True), ("late:1", True), ("busy", False), ("unavailable", False)])
async def test_a_redirect_to_a_party_follows_where_it_answers(endpoint: Endpoint, how: str, follows: bool) -> None:
    """Else the endpoint is told, as by Asterisk, and decides."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "redirect", "to": "PJSIP/sip:100@sales.example"}]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    result = await play(endpoint, Script(dial={"PJSIP/sip:100@*": how}))
    assert [failed.data["error"]["reason"] for failed in endpoint.of("ActionFailed")] == ["not_followed"] * (not follows)
    assert bool(told(result)) is not follows


async def test_a_party_that_presses_keys(endpoint: Endpoint) -> None:
    """Whoever is dialled confirms."""
    confirm = [GATHER | {"validDigits": ["1"], "branches": {"1": [], "default": [HANGUP]}}]
    to = {"endpoint": "PJSIP/mobile", "confirm": confirm}
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": [to], "timeout": 5}, HANGUP]]
    result = await play(endpoint, Script(dial={"PJSIP/mobile": Party(press="1", press_after=0.1)}))
    assert told(result) == []
    assert endpoint.of("DialCompleted")[0].data["status"] == "answered"


async def test_a_name_that_nobody_dialled(endpoint: Endpoint) -> None:
    """Most likely a slip: it is said, and is no fault of the endpoint."""
    endpoint.answers["StasisStart"] = [[HANGUP]]
    result = await play(endpoint, Script(dial={"PJSIP/alcie": "busy"}))
    assert told(result) == []
    assert result.notes == ["nobody dialled PJSIP/alcie: no `dial` led there"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("bussy", "`bussy` is not one of"),
        ("late:soon", "the seconds have to be a number"),
        ("busy:1", "nothing follows `busy`"),
        ("answered:x", "`answered:x`"),
        ("late:-1", "`late:-1`"),
    ],
)
def test_a_party_that_cannot_be(value: str, message: str) -> None:
    """With its place."""
    with pytest.raises(ConfigurationError) as refused:
        Script(dial={"PJSIP/a": value}).parties()
    (fault,) = refused.value.faults
    assert fault.place == "dial.PJSIP/a"
    assert message in fault.message


def test_a_party_as_text() -> None:
    """`late` rings for eight seconds, unless it says for how long."""
    assert read_party("late", "") == Party("late", 8.0)
    assert read_party("late:1.5", "") == Party("late", 1.5)
    assert read_party("answered:1#", "") == Party(press="1#")


async def test_say_is_as_long_as_it_takes(endpoint: Endpoint) -> None:
    """Without a program that speaks; the ladder and the expectations have the text."""
    text = "Welcome to the house of many words. " * 4
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "say", "text": text}, HANGUP]]
    result = await play(endpoint, Script(expect=Expect(heard=["say:Welcome to*"])))
    assert told(result) == []
    begin, end = (next(one.at for one in result.heard if one.what == what) for what in ("media", "ended"))
    assert 8 < end - begin < 14
    assert "say:Welcome to" in result.ladder.text()


async def test_what_was_said_is_waited_for_by_its_words(endpoint: Endpoint) -> None:
    """As it stands in the ladder, and in what the caller heard instead."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "say", "text": "Which number?"}, HANGUP]] * 2
    result = await play(endpoint, Script(steps=[Step(wait_for="say:Which"), Step(wait_for="say:Good bye", timeout=1)]))
    (problem,) = told(result)
    assert "waited until the call was over for `say:Good bye`, and heard: say:Which number?" in problem


async def test_two_callers_meet_in_a_queue(endpoint: Endpoint) -> None:
    """One waits, the other takes the call out; each has expectations of their own."""

    def start(delivery: Any) -> Any:
        if delivery.data["channel"]["caller"]["number"] == "201":
            return [ANSWER, {"action": "dequeue", "queue": "q"}]
        return [ANSWER, {"action": "enqueue", "queue": "q"}, HANGUP]

    endpoint.answers["StasisStart"] = start
    endpoint.answers["QueueCompleted"] = []
    agent = Person(caller="201", after=6, steps=[Step(wait_for="answered"), Step(pause=10), Step(hangup=True)])
    agent.expect = Expect(ended_by="caller", actions=["answer", "dequeue"])
    script = Script(
        caller="100", callers=[agent], expect=Expect(ended_by="endpoint", actions=["answer", "enqueue", "hangup"])
    )
    result = await play(endpoint, script)
    assert told(result) == []
    done = {one.data["action"]["action"]: one.data for one in endpoint.of("QueueCompleted")}
    assert (done["enqueue"]["reason"], done["dequeue"]["reason"]) == ("answered", "answered")
    assert "201: calls 1000" in " ".join(rung.label for rung in result.ladder.rungs)


async def test_equal_faults_are_counted_and_explained_once(endpoint: Endpoint) -> None:
    """Three times the same wrong answer is one thing that is wrong."""
    endpoint.answers["StasisStart"] = [[ANSWER, GATHER, GATHER | {"id": "second"}]]
    endpoint.answers["DigitsCollected"] = lambda delivery: web.Response(text='[{"action": "answr"}]')
    endpoint.answers["StasisEnd"] = endpoint.answers["DigitsCollected"]
    script = Script(steps=[Step(wait_for="any"), Step(press="1"), Step(pause=4), Step(hangup=True)])
    result = await play(endpoint, script)
    refused = [problem for problem in result.problems if "refused" in problem.what]
    (one,) = refused
    assert one.count >= 2
    assert "did you mean `answer`?" in "\n".join(one.why)
    assert f"({one.count} times)" in one.text()


async def test_steps_that_nobody_wrote_are_not_blamed(endpoint: Endpoint) -> None:
    """Of keys at prompts the keys are named; what follows from a failed step is not told."""
    endpoint.answers["StasisStart"] = [[ANSWER, HANGUP]]
    result = await play(endpoint, Script(digits="1,23"))
    (only,) = told(result)
    assert only.startswith("digits: ")
    assert "press 1" in only
    steps = [Step(wait_for="sound:none", timeout=0.2), Step(press="1"), Step(press="2")]
    result = await play(endpoint, Script(steps=steps))
    (only,) = told(result)
    assert only.startswith("steps[0]: ")


async def test_a_route_of_ones_own(endpoint: Endpoint) -> None:
    """Its secret, headers, times, while_waiting and fallback are what the call gets."""
    endpoint.answers["StasisStart"] = lambda delivery: web.Response(status=500)
    config = parse(
        f"""
[asterisk.main]
password = "x"
apps = ["mine"]
[[routes]]
name = "other"
url = "http://127.0.0.1:1/"
match = {{ app = "mine" }}
[[routes]]
name = "ivr"
url = "{endpoint.url}"
match = {{ args = ["sales"] }}
headers = {{ x-key = "k" }}
secret = "whsec_MTIzNDU2Nzg5MGFiY2RlZg=="
timeout = 0.2
deadline = 0.5
[routes.fallback]
actions = [{{ action = "play", media = "sound:vm-goodbye" }}, {{ action = "hangup" }}]
""",
        {},
    )
    result = await Play("", Script(), speed=SPEED, setting=for_routes(config, ["ivr"])).run()
    assert [one.detail for one in result.heard if one.what == "media"] == ["sound:vm-goodbye"]
    first = endpoint.received[0]
    assert first.headers["x-key"] == "k"
    assert "webhook-signature" in first.headers
    assert first.body["call"] | {"id": ""} == {
        "id": "", "asterisk": "main", "app": "mine", "route": "ivr", "sequence": 1, "state": {},
    }  # fmt: skip
    for names, message in ((["ivy"], "no route `ivy`"), ([], "name the control route")):
        with pytest.raises(ConfigurationError, match=message):
            for_routes(config, names)


async def test_the_ladder_shows_keys_and_bodies(endpoint: Endpoint) -> None:
    """Digits beside their events; with `verbose` what was sent and answered; as JSON all of it."""
    endpoint.answers["StasisStart"] = [[ANSWER, GATHER]]
    endpoint.answers["DigitsCollected"] = [[HANGUP]]
    result = await play(endpoint, Script(digits="7"))
    assert told(result) == []
    labels = [rung.label for rung in result.ladder.rungs]
    assert "ChannelDtmfReceived 7" in labels
    assert "DigitsCollected 7" in labels
    verbose = "\n".join(line.text for line in result.ladder.lines(verbose=True))
    assert '"type": "DigitsCollected"' in verbose
    assert '"action": "hangup"' in verbose
    assert '"type": "DigitsCollected"' not in result.ladder.text()
    document = json.loads(json.dumps(result.as_json()))
    assert document["ok"] is True
    requests = [rung["request"]["type"] for rung in document["ladder"] if "request" in rung]
    assert requests == ["StasisStart", "DigitsCollected", "StasisEnd"]
    assert [rung["answer"] for rung in document["ladder"] if "answer" in rung][:2] == [[ANSWER, GATHER], [HANGUP]]


def test_scripts_with_callers(tmp_path: Path) -> None:
    """Faults of other callers have their place, and so have parties."""
    from hookrouter.simulator.script import read_script

    path = tmp_path / "script.toml"
    path.write_text('[dial]\n"PJSIP/a" = "x"\n[[callers]]\ncaller = "2"\n[[callers.steps]]\n')
    with pytest.raises(ConfigurationError) as refused:
        read_script(path)
    assert [fault.place for fault in refused.value.faults] == ["callers[0].steps[0]", "dial.PJSIP/a"]
    path.write_text(
        '[dial]\n"PJSIP/a" = "busy"\n"PJSIP/b" = { outcome = "late", after = 2 }\n[[callers]]\ncaller = "2"\n'
    )
    script = read_script(path)
    assert script.parties() == {"PJSIP/a": Party("busy"), "PJSIP/b": Party("late", 2.0)}
    assert script.callers[0].caller == "2"
