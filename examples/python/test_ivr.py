"""Starts ivr.py and asks it as the router does: `python test_ivr.py`."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class TestIvr(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.secret = new_secret()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            cls.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", "ivr:app", "--port", str(cls.port), "--log-level", "warning"]
        environment = os.environ | {"HOOKROUTER_SECRET": cls.secret}
        cls.server = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent)
        until = time.monotonic() + 20
        while time.monotonic() < until and cls.server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", cls.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("ivr.py does not start")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.kill()
        cls.server.wait()

    def ask(self, type: str, data: dict, state: dict, secret: str = "") -> dict:
        """The answer to one event. Raises HTTPError."""
        body = json.dumps({"id": "evt_1", "type": type, "data": data, "call": {"id": "1.1", "state": state}}).encode()
        key, at = base64.b64decode((secret or self.secret).removeprefix("whsec_")), int(time.time())
        signature = base64.b64encode(hmac.digest(key, b"evt_1.%d.%s" % (at, body), hashlib.sha256)).decode()
        headers = {"webhook-id": "evt_1", "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", body, headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
            return json.load(response)

    def test_a_new_call_gets_the_menu(self) -> None:
        answer = self.ask("StasisStart", {"channel": {"caller": {"number": "100"}}}, {})
        self.assertEqual([one["action"] for one in answer["actions"]], ["answer", "gather"])
        self.assertEqual(answer["state"], {"number": "100"})

    def test_1_reads_the_number_out(self) -> None:
        answer = self.ask("DigitsCollected", {"digits": "1"}, {"number": "100"})
        self.assertEqual(answer["actions"][0], {"action": "play", "media": "digits:100"})

    def test_a_wrong_signature_is_refused(self) -> None:
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.ask("StasisStart", {}, {}, new_secret())
        self.assertEqual(refused.exception.code, 401)
        refused.exception.close()


if __name__ == "__main__":
    unittest.main()
