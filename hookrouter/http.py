"""The one module that knows an HTTP client: requests go out here, and what went wrong comes back as httpx's exceptions.

Rules:
- httpx's types are the interface; any `httpx.AsyncBaseTransport` will do (tests hand in `MockTransport`). By default the
  request goes straight to aiohttp's connector, which costs half of what httpx's own pool does.
- `ConnectError` and `ConnectTimeout` mean that nothing was sent. `ReadError`, `ReadTimeout` and `RemoteProtocolError`
  mean that it may have been received, and acted on.
- No redirects, no cookies, no proxies from the environment, no decompression: an answer has as many bytes as it says.
- The whole answer is read within `timeout`, however slowly it drips, and never more of it than `limit`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache

import aiohttp
import httpx
import msgspec
from multidict import CIMultiDict
from yarl import URL


class TooLarge(httpx.DecodingError):
    """The answer is longer than the limit; the connection was closed."""


class HttpReply(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. Header names are in lower case; of repeated ones the last counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name, default)


@lru_cache(maxsize=4096)
def _url(url: str) -> URL:
    return URL(url, encoded=True)


Headers = Iterable[tuple[str, str]]


class Http:
    """Connections to anywhere, kept alive. Create it inside the running loop; close it in the end."""

    def __init__(
        self,
        *,
        per_host: int = 100,
        keepalive_timeout: float = 10.0,
        connect_timeout: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._transport = transport
        self._session: aiohttp.ClientSession | None = None
        if transport is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                limit_per_host=per_host,
                keepalive_timeout=keepalive_timeout,
                ttl_dns_cache=10,
                enable_cleanup_closed=False,
                family=socket.AF_UNSPEC,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("user-agent", "accept", "accept-encoding"),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
                read_bufsize=2**16,
            )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._transport is not None:
            await self._transport.aclose()

    async def send(
        self, method: str, url: str, headers: Headers, body: bytes, *, timeout: float, limit: int
    ) -> HttpReply:
        """One request, its whole answer. `timeout` in seconds covers all of it. Raises httpx.TransportError, TooLarge."""
        if self._transport is not None:
            return await self._send_httpx(self._transport, method, url, headers, body, timeout, limit)
        assert self._session is not None
        try:
            async with asyncio.timeout(timeout):
                return await self._send(self._session, method, url, headers, body, limit)
        except TimeoutError:
            raise httpx.ReadTimeout(f"no whole answer within {timeout:.3g} s") from None
        except aiohttp.ServerTimeoutError as error:
            kind = httpx.ConnectTimeout if isinstance(error, aiohttp.ConnectionTimeoutError) else httpx.ReadTimeout
            raise kind(str(error)) from None
        except aiohttp.ClientConnectorError as error:
            raise httpx.ConnectError(_words(error)) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError) as error:
            raise httpx.ReadError(_words(error) or "the connection was closed") from None
        except (aiohttp.InvalidURL, aiohttp.ClientResponseError, aiohttp.ClientError) as error:
            raise httpx.RemoteProtocolError(_words(error)) from None
        except (ConnectionError, OSError) as error:
            raise httpx.ReadError(_words(error)) from None
        except ValueError as error:  # aiohttp lets a malformed header or chunk out as it is
            raise httpx.RemoteProtocolError(_words(error)) from None

    async def _send(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Headers, body: bytes, limit: int
    ) -> HttpReply:
        async with session.request(
            method, _url(url), headers=CIMultiDict(headers), data=body or None, allow_redirects=False
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            length = response.content_length
            if length is not None and length > limit:
                response.close()
                raise TooLarge(f"the answer has {length} bytes; at most {limit} are read")
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > limit:
                    response.close()
                    raise TooLarge(f"the answer has over {limit} bytes")
            return HttpReply(response.status, found, bytes(content))

    async def _send_httpx(
        self, transport: httpx.AsyncBaseTransport, method: str, url: str, headers: Headers, body: bytes,
        timeout: float, limit: int,
    ) -> HttpReply:  # fmt: skip
        extensions = {"timeout": httpx.Timeout(timeout).as_dict()}
        request = httpx.Request(method, url, headers=list(headers), content=body, extensions=extensions)
        try:
            async with asyncio.timeout(timeout):
                response = await transport.handle_async_request(request)
                content = bytearray()
                assert isinstance(response.stream, httpx.AsyncByteStream)
                try:
                    async for chunk in response.stream:
                        content += chunk
                        if len(content) > limit:
                            raise TooLarge(f"the answer has over {limit} bytes")
                finally:
                    await response.stream.aclose()
        except TimeoutError:
            raise httpx.ReadTimeout(f"no whole answer within {timeout:.3g} s") from None
        return HttpReply(response.status_code, dict(response.headers), bytes(content))


def _words(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text[:300]


NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
"""Failures after which the request may be sent again, whatever it is."""
