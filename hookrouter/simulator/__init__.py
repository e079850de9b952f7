"""An Asterisk to develop against: the server role of ARI, without media."""

from hookrouter.simulator.caller import Caller, Heard
from hookrouter.simulator.server import Simulator

__all__ = ["Caller", "Heard", "Simulator"]
