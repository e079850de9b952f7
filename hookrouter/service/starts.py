"""The count of starts: ids carry it, so that no two starts give the same id to different things.

The counter of a call counts on from the state on disk. What a router gave ids to while the disk refused, and before it
was killed, is not in that state: without the start in the id the next router would give the same ids again.
"""

from __future__ import annotations

from collections.abc import Mapping

from hookrouter.calls.journal import Journal
from hookrouter.errors import StoreError

KEY = "starts"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


async def count_start(journal: Journal, meta: Mapping[str, bytes], now: float) -> str:
    """This start's part of ids. It is on disk before an id carries it, and greater than every one before it.

    It never falls behind the clock, so it is a new one also where the journal has been lost or cannot be written.
    """
    try:
        before = int(meta.get(KEY, b"0"))
    except ValueError:
        before = 0
    number = max(before + 1, int(now))
    journal.put_meta(KEY, b"%d" % number)
    try:
        await journal.settled()
    except StoreError:
        pass  # `JournalFailed` has told it
    return start_number(number)


def start_number(number: int) -> str:
    """As ids carry it."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text
