"""The console in Chromium: each page at both widths, what keeps itself up to date, each button, and who may not press it."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect
from rig.console import ALL, APP, LOOK, MENU, PHONE, WIDE, Pair, Scene, reader

from hookrouter.calls.call import Call
from hookrouter.facts import AnswerCompared, CallStandsStill, DeliveryFinished
from hookrouter.routing.endpoint import Shadow
from hookrouter.routing.table import RouteTable
from hookrouter.simulator.caller import Caller
from hookrouter.simulator.script import Script
from hookrouter.simulator.tries import Tries

pytestmark = pytest.mark.asyncio(loop_scope="session")
HOSTILE = '<script>alert(1)</script>"\'><img src=x onerror=alert(2)>\u202e\x1b[31m'


async def waiting(scene: Scene, number: str = "+4930123456") -> Caller:
    """A caller who hears a menu."""
    scene.endpoint.answers["StasisStart"] = MENU
    caller = await scene.call(number)
    await caller.hears("media")
    return caller


async def failed(scene: Scene) -> Caller:
    """A call whose endpoint answered 404."""
    scene.endpoint.answers["/ivr StasisStart"] = lambda delivery: web.Response(status=404)
    caller = await scene.call("+49301")
    await scene.finished(caller)
    del scene.endpoint.answers["/ivr StasisStart"]
    return caller


async def usable(page: Page, axe: str) -> list[str]:
    """What axe-core finds, and whether something sticks out to the side."""
    found = await page.evaluate(f"{axe}; axe.run(document).then(r => r.violations.map(v => v.id + ' ' + v.nodes[0].html))")
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*found, *([f"{page.url} is {wide} px too wide"] if wide > 0 else [])]


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["1280", "390"])
async def test_every_page_is_for_everybody(
    browser: Browser, scene: Scene, axe: str, width: dict[str, int], scheme: str
) -> None:
    """Nothing that a screen reader stumbles over, and nothing too wide; hostile names are text."""
    live, over = await waiting(scene, HOSTILE), await failed(scene)
    scene.router.service.console.tries = Tries(lambda: scene.router.service.config)
    async with reader(browser, scene, width=width, scheme=scheme) as page:
        faults: list[str] = []
        for path in ("/", "/calls", f"/calls/{live.id}", f"/calls/{over.id}?step=2", "/deliveries?status=any", "/routes",
                     "/routes/ivr", "/routes/crm", "/logs", "/calls/nobody"):  # fmt: skip
            await page.goto(path)
            faults += await usable(page, axe)
        assert faults == []
        await page.goto("/")
        shown = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
        await expect(page.locator("#live")).to_contain_text(shown)


async def test_now_keeps_itself_up_to_date(browser: Browser, scene: Scene) -> None:
    """A call comes, stands still and is red, and goes; what went wrong is grouped."""
    scene.endpoint.answers["/ivr StasisStart"] = lambda delivery: web.Response(status=202)
    async with reader(browser, scene) as page:
        await expect(page.locator("#count")).to_have_text("0")
        caller = await scene.call()
        row = page.locator(f'[id="call-{caller.id}"]')
        await expect(row).to_have_class("still")
        await expect(row).to_contain_text("stands still")
        await expect(page.locator("#still")).to_have_text("1")
        await caller.hangup()
        await expect(row).to_have_count(0)
        for _ in range(2):
            await failed(scene)
        await expect(page.locator("#troubles li", has_text="404 from /ivr")).to_contain_text("2 ×")
        assert not scene.router.of(CallStandsStill)


async def test_a_call_page_is_live_and_each_arrow_opens(browser: Browser, scene: Scene) -> None:
    """The ladder grows without a reload; a step has an address, and opens by the keyboard too."""
    scene.endpoint.answers["DigitsCollected"] = [{"action": "play", "media": "sound:vm-goodbye"}, {"action": "hangup"}]
    caller = await waiting(scene)
    async with reader(browser, scene) as page:
        await page.goto(f"/calls/{caller.id}")
        await expect(page.locator("#hears")).to_contain_text("sound:demo-instruct")
        await caller.press("1")
        await expect(page.locator(".ladder")).to_contain_text("ChannelDtmfReceived 1")
        await scene.finished(caller)
        await expect(page.locator("h1")).to_contain_text("good")
        await page.locator(".ladder a", has_text="200 in").first.click()
        await expect(page.locator("#panel")).to_contain_text("demo-instruct")
        await expect(page.locator("#panel")).to_contain_text("curl -i")
        assert "step=" in page.url
        await page.goto(page.url)  # as a colleague gets it
        await expect(page.locator("#panel")).to_contain_text("demo-instruct")
        await page.locator("#scroll").focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.locator("#panel")).to_contain_text("Asterisk's event")
        await page.locator("#test summary").click()
        script = msgspec.convert(tomllib.loads(await page.locator("#script").inner_text()), Script)
        assert script.expect.heard == ["sound:demo-instruct", "sound:vm-goodbye"]
        assert [step.press for step in script.steps if step.press] == ["1"]


async def test_why_a_call_failed_stands_at_the_top(browser: Browser, scene: Scene) -> None:
    """In one sentence; and the list shows it, finds it, and leads there."""
    good, over = await waiting(scene), await failed(scene)
    async with reader(browser, scene) as page:
        await page.goto("/calls")
        await expect(page.locator("#calls tbody tr")).to_have_count(2)
        await page.get_by_label("Outcome").select_option("failed")
        await page.get_by_role("button", name="Find").click()
        await expect(page.locator("#calls tbody tr")).to_have_count(1)
        await page.get_by_role("link", name=over.id).click()
        await expect(page.locator("#sentence")).to_contain_text("404")
        await page.goto("/calls?text=4930123456")
        await expect(page.locator("#calls tbody tr")).to_have_count(1)
        await expect(page.locator("#calls")).to_contain_text(good.id)


async def test_actions_are_checked_while_they_are_typed_and_run(browser: Browser, scene: Scene) -> None:
    """A fault stands beside the editor with its place; what is right runs; hanging up hangs up."""
    caller = await waiting(scene)
    async with reader(browser, scene) as page:
        await page.goto(f"/calls/{caller.id}")
        await page.get_by_text("Run actions").click()
        editor = page.get_by_label("A list of actions")
        await editor.fill('[{"action": "plai"}]')
        await expect(page.locator("#faults")).to_contain_text("/0/action")
        await editor.fill("[\n]")
        await page.get_by_label("Add an action").select_option(label="answer")
        await expect(page.locator("#faults")).to_contain_text("Nothing is wrong")
        await editor.fill('[{"action": "play", "media": "sound:vm-goodbye"}, {"action": "pause", "seconds": 30}]')
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.locator("#said")).to_contain_text("run")
        await caller.hears("media", "sound:vm-goodbye")
        await page.get_by_text("Hang up", exact=True).click()
        await page.get_by_role("button", name="Hang up this call").click()
        await caller.ended(5)
        await scene.finished(caller)
        await expect(page.locator("h1")).not_to_contain_text("live")
        await expect(page.locator("#controls")).to_have_count(0)


async def test_the_editor_completes(browser: Browser, scene: Scene, axe: str) -> None:
    """Names of actions and operations, then the fields of that action; by the keyboard and by a click."""
    caller = await waiting(scene)
    async with reader(browser, scene) as page:
        await page.goto(f"/calls/{caller.id}")
        await page.get_by_text("Run actions").click()
        editor, options = page.get_by_label("A list of actions"), page.locator("#suggestions li:visible")
        await editor.fill('[{"ac')
        await expect(options).to_have_text(["action"])
        await editor.press("Tab")
        await editor.press_sequentially(': "pa')
        await expect(options).to_have_text(["pause", "pauseRecording"])
        assert await usable(page, axe) == []
        await editor.press("ArrowDown")
        await expect(options.nth(1)).to_have_attribute("aria-selected", "true")
        await editor.press("ArrowUp")
        await editor.press("Enter")
        await expect(editor).to_have_value('[{"action": "pause"')
        await expect(options).to_have_count(0)
        await editor.press_sequentially(', "s')
        await options.filter(has_text="seconds").click()
        await editor.press_sequentially(": 5}, {")
        await expect(editor).to_have_value('[{"action": "pause", "seconds": 5}, {')
        await editor.press_sequentially('"action": "channels.unh')
        await expect(options).to_have_text(["channels.unhold"])
        await editor.press("Escape")
        await expect(options).to_have_count(0)
        await editor.press_sequentially('old", "ch')
        await expect(options).to_have_text(["channelId"])
        await page.get_by_role("button", name="Check only").focus()
        await expect(options).to_have_count(0)
        await caller.hangup()


async def test_an_event_is_sent_again(browser: Browser, scene: Scene) -> None:
    """With the same id and body; its answer is shown, and nothing of it is run."""
    caller = await waiting(scene)
    first = scene.endpoint.of("StasisStart", caller.id)
    scene.endpoint.answers["StasisStart"] = [{"action": "hangup"}]
    async with reader(browser, scene) as page:
        await page.goto(f"/calls/{caller.id}")
        await page.locator(".ladder a", has_text="200 in").filter(has_text="gather").click()
        await page.get_by_role("button", name="Send it again").click()
        await expect(page.locator("#sent")).to_contain_text("hangup")
        again = scene.endpoint.of("StasisStart", caller.id)[-1]
        assert len(scene.endpoint.of("StasisStart", caller.id)) == len(first) + 1
        assert (again.raw, again.headers["webhook-id"]) in [(one.raw, one.headers["webhook-id"]) for one in first]
        assert not caller.is_over


async def test_deliveries_wait_are_paused_and_replayed(browser: Browser, scene: Scene) -> None:
    """A route that is paused keeps what comes; a dead letter that is chosen is sent again."""
    scene.endpoint.answers["/crm StasisStart"] = lambda delivery: web.Response(status=400)
    caller = await waiting(scene)
    await scene.router.fact(DeliveryFinished, route="crm", outcome="dead")
    scene.endpoint.answers["/crm StasisStart"] = lambda delivery: web.Response(status=204)
    async with reader(browser, scene) as page:
        await page.goto("/deliveries")
        await page.get_by_role("button", name="Pause crm").click()
        await expect(page.locator("#lanes")).to_contain_text("paused by hand")
        await page.get_by_label("all on this page").check()
        await page.get_by_role("button", name="Send the chosen ones again").click()
        await expect(page.locator("#said")).to_contain_text("1 are sent again")
        await caller.hangup()
        await expect(page.locator("#lane-crm [data-label=waiting]")).to_have_text("2")
        assert len([one for one in scene.endpoint.received if one.path == "/crm"]) == 1
        await page.get_by_role("button", name="Go on with crm").click()
        await scene.router.fact(DeliveryFinished, route="crm", type="StasisEnd", outcome="delivered")
        await expect(page.locator("#lane-crm [data-label=waiting]")).to_have_text("0")


async def test_a_route_is_tried(browser: Browser, scene: Scene) -> None:
    """A simulated call against its endpoint, whose ladder grows; the live Asterisk hears nothing of it."""
    scene.router.service.console.tries = tries = Tries(lambda: scene.router.service.config)
    scene.endpoint.answers["StasisStart"] = [{"action": "answer"}, {"action": "hangup"}]
    async with reader(browser, scene) as page:
        await page.goto("/routes")
        await page.get_by_role("link", name="ivr").click()
        await expect(page.locator("#policy")).to_contain_text("functions")
        await page.get_by_role("button", name="Call").click()
        await expect(page.locator(".ladder")).to_contain_text("200, ")
        await expect(page.locator("#tried")).to_contain_text("good", timeout=15_000)
        assert not scene.router.service.calls()
    await tries.stop()


async def test_a_candidates_answer_stands_beside_the_own_one(browser: Browser, scene: Scene) -> None:
    """Red where it differs; a click shows both answers and each difference. The route's page counts them."""
    service, route = scene.router.service, scene.router.service.config.routes.by_name("ivr")
    assert route is not None
    shadow = Shadow(msgspec.structs.replace(route.endpoint, url=route.url.replace("/ivr", "/next")))
    shadowed = [msgspec.structs.replace(one, shadow=shadow) if one is route else one for one in service.config.routes.routes]
    service.config = msgspec.structs.replace(service.config, routes=RouteTable(shadowed))
    service.flow.table = service.config.routes
    scene.endpoint.answers["/next StasisStart"] = [{"action": "answer"}, {"action": "play", "media": "sound:vm-goodbye"}]
    caller = await waiting(scene)
    await scene.router.fact(AnswerCompared, call=caller.id)
    async with reader(browser, scene) as page:
        await page.goto(f"/calls/{caller.id}")
        arrow = page.locator(".ladder a.bad", has_text="candidate, StasisStart: different")
        await arrow.click()
        for words in ("What the candidate answered", "vm-goodbye", "What the route's own endpoint answered", "demo-instruct",
                      '/actions/1/action', '"gather" by the endpoint, "play" by the candidate'):  # fmt: skip
            await expect(page.locator("#panel")).to_contain_text(words)
        await page.goto("/routes/ivr")
        await expect(page.locator("main")).to_contain_text("1 × different")
        await expect(page.locator("main")).to_contain_text("100% to http://127.0.0.1")


async def test_a_recording_is_played_in_the_page(browser: Browser, scene: Scene) -> None:
    """With the reader's session, from its beginning to its end; what Asterisk does not have is no fault of the page."""
    record = {"action": "record", "name": "messages/4711", "maxDurationSeconds": 1}
    scene.endpoint.answers["StasisStart"] = lambda delivery: [{"action": "answer"}, record, {"action": "hangup"}]
    caller = await scene.call()
    await scene.finished(caller)
    async with reader(browser, scene) as page:
        await page.goto(f"/calls/{caller.id}")
        await expect(page.locator("#recordings figcaption")).to_have_text("messages/4711")
        sound = page.get_by_label("Recording messages/4711")
        seconds: Any = await sound.evaluate(
            "async (audio) => { audio.playbackRate = 8; const over = new Promise((done, failed) => { audio.onended = done; "
            "audio.onerror = () => failed(audio.error.message); }); await audio.play(); await over; return audio.duration; }"
        )
        assert 0.5 < seconds < 2.0


@pytest.mark.parametrize("allowed", [True, False], ids=["copied", "selected"])
async def test_what_a_copy_button_copies(browser: Browser, scene: Scene, allowed: bool) -> None:
    """The curl command of a step and the script of the call, to the letter; without a clipboard they are selected."""
    caller = await waiting(scene)
    await caller.hangup()
    await scene.finished(caller)
    async with reader(browser, scene) as page:
        if allowed:
            await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=scene.url)
        else:
            await page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'))")
        await page.goto(f"/calls/{caller.id}")
        await page.locator(".ladder a", has_text="200 in").first.click()
        await expect(page.locator("#panel")).to_contain_text("curl -i")
        await page.locator("#test summary").click()
        buttons = page.locator("[data-copy]")
        await expect(buttons).to_have_count(2)
        for index in range(await buttons.count()):
            button = buttons.nth(index)
            text = await page.locator(await button.get_attribute("data-copy") or "").first.text_content()
            assert text
            if not await button.is_visible():
                await button.locator("xpath=ancestor::details").locator("summary").first.click()
            await button.click()
            await expect(button).to_have_text("Copied" if allowed else "Selected: press Ctrl+C")
            got = await page.evaluate("navigator.clipboard.readText()" if allowed else "String(getSelection())")
            assert got.strip() == text.strip()


async def test_logs_are_filtered(browser: Browser, scene: Scene) -> None:
    """By level and words; new lines come by themselves."""
    await failed(scene)
    async with reader(browser, scene) as page:
        await page.goto("/logs?level=warning")
        await expect(page.locator("#logs")).to_contain_text("fallback.taken")
        await expect(page.locator("#logs")).not_to_contain_text("call.started")
        await page.goto("/logs?name=call.started")
        await expect(page.locator("#logs tbody tr")).to_have_count(1)
        await waiting(scene)
        await expect(page.locator("#logs tbody tr")).to_have_count(2)


async def test_who_may_only_look_has_no_buttons(browser: Browser, scene: Scene) -> None:
    """And what they would do is refused."""
    caller = await waiting(scene)
    async with reader(browser, scene, LOOK) as page:
        for path in (f"/calls/{caller.id}?step=1", "/deliveries", "/routes/ivr"):
            await page.goto(path)
            await expect(page.locator("main form[method=post]")).to_have_count(0)
        for path, form in ((f"/calls/{caller.id}", {"do": "hangup"}), ("/deliveries", {"do": "pause", "route": "crm"}),
                           ("/routes/ivr", {"do": "try"})):  # fmt: skip
            answer = await page.request.post(path, form=form, headers={"origin": scene.url})
            assert answer.status == 403
        assert not caller.is_over


async def test_the_login_leads_to_the_page_that_was_wanted(browser: Browser, scene: Scene) -> None:
    """Without a script, too: pages are made by the server. It leads nowhere else."""
    caller = await waiting(scene)
    context = await browser.new_context(base_url=scene.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"/calls/{caller.id}?step=1")
    await page.get_by_label("The token of").fill(ALL)
    await page.get_by_role("button", name="Log in").click()
    assert page.url == f"{scene.url}/calls/{caller.id}?step=1"
    await expect(page.locator("#panel")).to_contain_text("StasisStart")
    answer = await page.request.post("/login", form={"token": ALL, "then": "//evil.example/"}, max_redirects=0)
    assert answer.headers["location"] == "/"
    await context.close()


async def test_a_thousand_live_calls(browser: Browser, scene: Scene) -> None:
    """The page has the first hundred of them and says so; each refresh is a moment's work."""
    service = scene.router.service
    for number in range(1000):
        call = Call(key=f"main/many-{number}", id=f"many-{number}", asterisk="main", app="ivr", route="ivr",
                    caller=f"+49{number}", called="1000", started_at=1e9 + number, up=True)  # fmt: skip
        service.runner.take_up(call, service.route_of("ivr"))
    async with reader(browser, scene) as page:
        await expect(page.locator("#count")).to_have_text("1000")
        await expect(page.locator("#live tbody tr")).to_have_count(100)
        spent: Any = await page.evaluate("(async () => { const next = document.getElementById('main').cloneNode(true); "
                                         "const before = performance.now(); morph(document.getElementById('main'), next); "
                                         "return performance.now() - before; })()")  # fmt: skip
        assert spent < 100
        await page.get_by_role("link", name="all live calls").wait_for()
    for live in list(service.board):
        service.board.remove(live)
    await asyncio.sleep(0)


async def test_the_console_of_any_router_is_that_of_all(
    browser: Browser, axe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows the calls of the others and who owns what, ends them, and says who does not answer."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    async with Pair() as pair:
        await pair.acquainted()
        pair.endpoint.answers["StasisStart"] = [{"action": "answer"}, {"action": "pause", "seconds": 600}]
        await pair.simulators["second"].call(APP, "+4930", "1000", [], "")  # two Asterisks give their first call the same id
        callers = {name: await simulator.call(APP, "+4930123456", "1000", [], "") for name, simulator in pair.simulators.items()}
        async with reader(browser, pair) as page:
            await page.goto("/")
            await expect(page.locator("#count")).to_have_text("3")
            row = page.locator(f'[id="call-second-{callers["second"].id}"]')
            await expect(row.locator("[data-label=Asterisk]")).to_have_text("second")
            await expect(row.locator("[data-label=router]")).to_have_text("b")
            await expect(page.locator("#router-a")).to_contain_text("main")
            await expect(page.locator("#router-b")).to_contain_text("second")
            for width in (WIDE, PHONE):
                await page.set_viewport_size(width)
                assert await usable(page, axe) == []
            await row.get_by_role("link").click()
            await expect(page.locator("#about")).to_contain_text("b")
            await expect(page.get_by_role("button", name="Log out")).to_be_visible()
            await page.get_by_text("Run actions").click()
            await page.get_by_label("A list of actions").fill('[{"action": "plai"}]')
            await expect(page.locator("#faults")).to_contain_text("/0/action")
            await page.get_by_text("Hang up", exact=True).click()
            await page.get_by_role("button", name="Hang up this call").click()
            await callers["second"].ended(5)
            await page.goto("/")
            await expect(page.locator("#count")).to_have_text("2")
            server = pair.b.service._server
            assert server is not None
            server.end()
            await expect(page.locator("#silent-1")).to_contain_text("router b does not answer")
            await expect(page.locator("#router-b")).to_contain_text("second")
            await expect(page.locator("#router-b")).to_contain_text("does not answer")
            assert await usable(page, axe) == []
            await page.goto(f"/calls/{callers['second'].id}x")
            await expect(page.locator("main")).to_contain_text("b, which does not answer")
