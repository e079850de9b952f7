"""What is read back from the journal at the start."""

from __future__ import annotations

from hookrouter.actions.decode import decode_step
from hookrouter.calls.call import Call, decode_call


def readable_call(snapshot: bytes) -> Call:
    """The call of a journal's row, all of whose steps can be carried out. Raises whatever it is that cannot be read."""
    call = decode_call(snapshot)
    for program in call.programs.values():
        for step in program.steps:
            decode_step(step)
    return call
