"""What every request passes first: who may ask, from where, how much; and the headers that every answer carries."""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from exuvia import __version__
from exuvia.studio.settings import LOOPBACK, Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

COOKIE = "exuvia_studio"
VERSION = "x-exuvia-version"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
SAFE = ("GET", "HEAD", "OPTIONS")


class _TooLarge(Exception):
    """A body grew past its limit while it was read."""


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        cookie = self.settings.token if self.settings.token and given else ""
        size, started, limit = 0, False, self.settings.limits.body_bytes

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise _TooLarge
            return message

        async def sealed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _seal(message, cookie)
            await send(message)

        try:
            await self.app(scope, counted, sealed)
        except _TooLarge:
            if not started:
                await _answer(send, 413, f"found a request of more than {limit:,} bytes, expected a smaller one")

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and sentence for a request that may not pass."""
        try:
            host = urlsplit(f"//{headers.get('host', '')}")
            name, port = host.hostname or "", host.port
        except ValueError:
            name, port = "", None
        if self.settings.is_private and name not in LOOPBACK:  # a name of somebody else's that resolves to this machine
            return 421, "this studio answers to localhost and 127.0.0.1 only"
        if scope["method"] not in SAFE and not _same_origin(headers, name, port):
            return 403, "this request comes from another site's page; the studio takes none"
        try:
            if int(headers.get("content-length", "0")) > self.settings.limits.body_bytes:
                limit = self.settings.limits.body_bytes
                return 413, f"found a request of more than {limit:,} bytes, expected a smaller one"
        except ValueError:
            return 400, "found a content-length that is no number"
        if self.settings.token and not self._knows_token(scope, headers):
            return 401, "this studio asks for its token; open the address that it printed when it was started"
        theirs = headers.get(VERSION, __version__)
        if theirs != __version__:
            return 409, f"this page is of version {theirs[:20]}, the studio of {__version__}; load the page again"
        return None

    def _knows_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = [
            headers.get("authorization", "").removeprefix("Bearer "),
            cookies[COOKIE].value if COOKIE in cookies else "",
            query.get("token", [""])[0],
        ]
        token = self.settings.token.encode()
        return any(secrets.compare_digest(one.encode(), token) for one in given)


def _same_origin(headers: dict[str, str], name: str, port: int | None) -> bool:
    """Whether a page of the studio itself, or no page at all, sends this."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        from_where = urlsplit(origin)
        return (from_where.hostname, from_where.port) == (name, port)
    except ValueError:
        return False


def _seal(message: Message, cookie: str) -> None:
    headers = list(message.get("headers", []))
    names = {name.lower() for name, _ in headers}
    headers += [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in names]
    headers += [(b"content-security-policy", POLICY.encode())] if b"content-security-policy" not in names else []
    headers += [(VERSION.encode(), __version__.encode())]
    if cookie:
        rules = "; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000"
        headers.append((b"set-cookie", f"{COOKIE}={cookie}{rules}".encode()))
    message["headers"] = headers


async def _answer(send: Send, status: int, text: str) -> None:
    import json

    body = json.dumps({"detail": text}).encode()
    start: Message = {"type": "http.response.start", "status": status, "headers": []}
    start["headers"] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start["headers"] += [(b"connection", b"close")] if status == 413 else []
    _seal(start, "")
    await send(start)
    await send({"type": "http.response.body", "body": body})
