"""What waits to be written is counted as it is."""

from __future__ import annotations

from hookrouter.delivery.queue import NewDelivery
from hookrouter.store.buffer import Adding, Buffer


def test_what_is_another_routers_now_takes_no_room() -> None:
    """Its deliveries are gone, and so is what they count for in the bound of those that wait."""
    buffer = Buffer()
    for asterisk, body in (("one", b"12345"), ("two", b"123"), ("one", b"1234")):
        delivery = NewDelivery(f"evt_{asterisk}", "crm", "StasisStart", body, 1.0, asterisk=asterisk)
        buffer.add(Adding((delivery,), strict=False, done=None))
    buffer.forget("one")
    assert [delivery.body for adding in buffer.adds for delivery in adding.deliveries] == [b"123"]
    assert (buffer.added_count, buffer.added_bytes) == (1, 3)
