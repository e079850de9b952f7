"""Lambda's API as far as an invocation goes, and its Runtime API, for the real runtime.

Rules: what AWS would refuse is refused as AWS does it, the signature judged by botocore; the handler gets what came, decoded
from JSON, and nothing else. A function URL is `/url/NAME`: it hands the body over in base64, as Lambda may.
"""

from __future__ import annotations

import base64
import json
import queue
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY_ID, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"
Handler = Callable[[dict[str, Any]], Any]


class Failed(Exception):
    """What a handler raises is told as the runtime of Python tells it."""


class Refused(Exception):
    """What AWS itself answers: status, type, message, and `retry-after`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked is gone, which is no news."""


class LambdaApi:
    """`handlers`: by the name of the function as it came. `seen`: (name, event), of each invocation that was let in."""

    def __init__(self, port: int, handlers: dict[str, Handler]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.handlers = handlers
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def environ(self) -> dict[str, str]:
        """What the router is started with."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "token/of+a=session",
            "AWS_REGION": REGION, "AWS_ENDPOINT_URL_LAMBDA": self.url,
        }  # fmt: skip

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/url/"):
            return self._by_url(path.removeprefix("/url/"), headers, body)
        found = re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", path)
        if found is None:
            return _refusal(404, "UnknownOperationException", "")
        if authorization(self.url + path, headers, body) != headers.get("authorization"):
            return _refusal(403, "InvalidSignatureException", "The request signature we calculated does not match")
        name = unquote(found[1])
        if name not in self.handlers:
            return _refusal(404, "ResourceNotFoundException", f"Function not found: {name}")
        event = json.loads(body)
        self.seen.append((name, event))
        self.headers.append(headers)
        about = {"x-amzn-requestid": "7ef1f0c4-0000-4000-8000-000000000000", "x-amz-executed-version": "$LATEST"}
        try:
            return 200, about, json.dumps(self.handlers[name](event)).encode()
        except Refused as refused:
            return _refusal(*refused.args)
        except Exception as error:  # noqa: BLE001  as the runtime does
            told = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            return 200, about | {"x-amz-function-error": "Unhandled"}, json.dumps(told).encode()


    def _by_url(self, name: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        about = {"http": {"method": "POST", "path": "/"}}
        event = {"version": "2.0", "rawPath": "/", "headers": headers, "requestContext": about}
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        self.seen.append((name, event))
        found = self.handlers[name](event)
        return found["statusCode"], found.get("headers", {}), found["body"].encode()


class Runtime:
    """What a runtime asks for its next event, and tells what came of it."""

    def __init__(self) -> None:
        self.next: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self.results: dict[str, queue.Queue[tuple[str, bytes]]] = {}

    def invoke(self, event: dict[str, Any]) -> Any:
        """A handler for `LambdaApi`: raises what the function has raised."""
        id = str(uuid.uuid4())
        self.results[id] = queue.Queue()
        self.next.put((id, event))
        kind, body = self.results[id].get(timeout=30)
        del self.results[id]
        value = json.loads(body)
        if kind == "error":
            raise Failed(value["errorMessage"])
        return value


@contextmanager
def runtime_api() -> Iterator[tuple[str, Runtime]]:
    """Its address, as AWS_LAMBDA_RUNTIME_API has it."""
    runtime = Runtime()

    class Http(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece

        def do_GET(self) -> None:
            found = runtime.next.get()
            if found is None:
                self.close_connection = True
                return
            arn = f"arn:aws:lambda:{REGION}:123456789012:function:ivr"
            about = {"request-id": found[0], "invoked-function-arn": arn, "deadline-ms": str(int(time.time() * 1000) + 4000)}
            aws = {"request-id": "aws-request-id"}
            headers = {f"lambda-runtime-{aws.get(name, name)}": value for name, value in about.items()}
            self.tell(200, json.dumps(found[1]).encode(), headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            *_, id, kind = self.path.split("/")
            if id in runtime.results:
                runtime.results[id].put((kind, body))
            self.tell(202, b"{}", {})

        def tell(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (headers | {"content-type": "application/json", "content-length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None: ...

    server = _Server(("127.0.0.1", 0), Http)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", runtime
    finally:
        runtime.next.put(None)
        server.shutdown()
        server.server_close()
        thread.join()


def _refusal(status: int, kind: str, message: str, retry_after: str = "") -> tuple[int, dict[str, str], bytes]:
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazonaws.awsgirapi/"}
    if retry_after:
        headers["retry-after"] = retry_after
    return status, headers, json.dumps({"Type": "User", "Message": message}).encode()


def authorization(url: str, headers: dict[str, str], body: bytes, service: str = "lambda", region: str = REGION) -> str:
    """What botocore would have written there, for the headers that were signed. Names of `headers` are in lower case."""
    found = re.search(r"SignedHeaders=([^,]*)", headers.get("authorization", ""))
    signed = {name: headers[name] for name in (found[1].split(";") if found else ()) if name in headers}
    request = AWSRequest("POST", url, signed, body)
    request.context["timestamp"] = headers.get("x-amz-date", "")
    auth = SigV4Auth(Credentials(KEY_ID, SECRET), service, region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    scope, names = auth.scope(request), auth.signed_headers(auth.headers_to_sign(request))
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={auth.signature(text, request)}"


@contextmanager
def lambda_api(**handlers: Handler) -> Iterator[LambdaApi]:
    """Running, on loopback."""

    class Http(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            status, told, answer = api.answer(self.path, headers, body)
            self.send_response(status)
            for name, value in (told | {"content-length": str(len(answer))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None: ...

    server = _Server(("127.0.0.1", 0), Http)
    api = LambdaApi(server.server_port, dict(handlers))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def body_of(event: dict[str, Any]) -> bytes:
    """Of a function URL's event, as a handler reads it."""
    return base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
