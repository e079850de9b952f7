"""Since when Asterisk has what came in the middle of releases, and into three branches at once.

Source: Asterisk's change logs of 20.14 to 20.16, 21.9 to 21.11 and 22.4 to 22.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

Version = tuple[int, int]


class Since(msgspec.Struct, frozen=True):
    """`branches`: of each major version that got it late, the minor one; all later ones have it, no earlier one has."""

    branches: Mapping[int, int]

    def there(self, version: Version | None) -> bool:
        """Whether that version has it; True also where nobody knows the version."""
        if version is None or version[0] > max(self.branches):
            return True
        return version[1] >= self.branches.get(version[0], version[1] + 1)

    def __str__(self) -> str:
        newest = max(self.branches)
        others = " or ".join(f"{major}.{self.branches[major]}" for major in sorted(self.branches) if major != newest)
        return f"Asterisk {newest}.{self.branches[newest]} or newer ({others} of the older branches)"


REQUESTS_ON_SOCKET = Since({20: 14, 21: 9, 22: 4})
"""Requests over the event socket."""

OUTBOUND_SOCKET = Since({20: 15, 21: 10, 22: 5})
"""An event socket that Asterisk opens (modes listen and invite), and users that it keeps in memory."""


WEBSOCKET_MEDIA = Since({20: 16, 21: 11, 22: 6})
"""Media over a WebSocket (chan_websocket)."""


def version_of(text: str) -> Version | None:
    """Major and minor number of what Asterisk says; None where it says none.

    >>> version_of("16.28.0~dfsg-0+deb11u10"), version_of("certified/20.7-cert4"), version_of("GIT-master-0a1b")
    ((16, 28), (20, 7), None)
    """
    found = re.search(r"(?:^|[^\w.])(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


__all__ = ["OUTBOUND_SOCKET", "REQUESTS_ON_SOCKET", "WEBSOCKET_MEDIA", "Since", "Version", "version_of"]
