"""Video beside the sound: it passes through a `dial` where the endpoints of Asterisk allow its codec."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route
from rig.scene import far, hears

from .conftest import need_asterisk


class Pictures(Asterisk):
    """Its endpoints allow VP8."""

    def _pjsip(self) -> str:
        return super()._pjsip().replace("allow=ulaw,alaw", "allow=ulaw,alaw,vp8")


@pytest.fixture
def pictures() -> Iterator[Asterisk]:
    need_asterisk()
    with Pictures() as running:
        yield running


async def test_video_passes_through_a_dial(pictures: Asterisk, app: str, endpoint: Endpoint) -> None:
    """Packet by packet, beside the sound, and back."""
    async with (
        Router(pictures.url, app, route(endpoint.url)) as running,
        UA(pictures.sip_port, video=True) as phone,
        UA(pictures.sip_port, video=True) as other,
    ):
        await running.ready()
        endpoint.answers["StasisStart"] = [[{"action": "dial", "to": far(other)}, {"action": "hangup"}]]
        caller = await phone.invite(f"app-{app}")
        callee = await other.incoming()
        await callee.answer()
        await caller.answered()
        await hears(caller, callee, 440)
        for one, two in ((caller, callee), (callee, caller)):
            assert one.video is not None
            assert two.video is not None
            async with asyncio.timeout(5):
                while not any(payload == b"\x10" + b"picture" * 20 for _, _, payload in two.video.packets):
                    one.video.send(b"\x10" + b"picture" * 20, 100, marker=True, advance=3000)
                    await asyncio.sleep(0.04)
        await caller.hangup()
        assert (await endpoint.wait("DialCompleted")).data["status"] == "answered"
