"""examples/scenarios/menu.py with real phones: barge-in, a second try, a human after the last, and a caller who goes."""

from __future__ import annotations

from lab.asterisk import Asterisk
from lab.ua import UA
from rig.scene import far, hears, scene


async def test_a_key_interrupts_a_wrong_one_is_forgiven_and_sales_is_called(asterisk: Asterisk, app: str) -> None:
    """2 brings the hours and the menu again; 5 is invalid; 1 rings sales, and the two talk."""
    async with (
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as sales_phone,
        scene(asterisk, app, "menu", SALES=far(sales_phone)) as menu,
    ):
        call = await (await phone.invite(f"app-{app}")).answered()
        await menu.heard(call, "basic-pbx-ivr-main")
        await call.press("2")
        await menu.heard(call, "hours")
        await menu.event("DigitsCollected", digits="2")
        assert call.rtp.span < 6, "the prompt (11 s) went on"
        await call.press("5")
        await menu.heard(call, "invalid")
        await call.press("1")
        sales = await sales_phone.incoming()
        await sales.answer()
        await hears(call, sales, 440)
        await hears(sales, call, 1000)
        await sales.hangup()
        await menu.event("DialCompleted", status="answered")
        await call.ended()
        await menu.clean()


async def test_who_presses_nothing_gets_the_operator_who_is_not_there(asterisk: Asterisk, app: str) -> None:
    """After the last try the operator rings; refused, the caller hears so, and hangs up in the menu that follows."""
    async with (
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as operator_phone,
        scene(asterisk, app, "menu", OPERATOR=far(operator_phone)) as menu,
    ):
        menu.module.MENU |= {"timeout": 0.2, "tries": 2, "prompt": "sound:hello"}
        call = await (await phone.invite(f"app-{app}")).answered()
        operator = await operator_phone.incoming()
        assert menu.of("DigitsCollected")[0]["data"]["reason"] == "timeout"
        operator.reject(486, "Busy Here")
        await menu.heard(call, "vm-nobodyavail")
        await call.hangup()
        await menu.event("StasisEnd")
        await menu.clean()
