"""A configuration folder laid out as FreePBX 16 and 17 lay it: which file includes which, and who writes it."""

from __future__ import annotations

FREEPBX_FILES = {
    "http.conf": "#include http_additional.conf\n#include http_custom.conf",
    "http_additional.conf": "[general]\nenabled=no\nbindaddr=127.0.0.1\nbindport=8088\n",
    "http_custom.conf": "",
    "ari.conf": (
        "[general]\n#include ari_general_additional.conf\n#include ari_general_custom.conf\n\n"
        "#include ari_additional.conf\n#include ari_additional_custom.conf\n"
    ),
    "ari_general_additional.conf": "enabled=yes\npretty=no\nwebsocket_write_timeout=100\n",
    "ari_general_custom.conf": "",
    "ari_additional.conf": "[freepbxuser]\ntype=user\npassword=x\nread_only=no\n",
    "ari_additional_custom.conf": "",
    "extensions.conf": (
        "#include extensions_override_freepbx.conf\n#include extensions_additional.conf\n#include extensions_custom.conf\n"
        "[from-internal]\ninclude => from-internal-custom\n"
    ),
    "extensions_override_freepbx.conf": "",
    "extensions_additional.conf": "[from-internal-additional]\nexten => 200,1,NoOp()\n",
    "extensions_custom.conf": "[from-internal-custom]\nexten => 1234,1,Playback(demo-congrats)\n",
    "modules.conf": "[modules]\nautoload = yes\n",
}
