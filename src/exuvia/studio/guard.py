"""What every request passes first: who may ask, from where, how much; and the headers that every answer carries."""

import contextlib
import secrets
from urllib.parse import quote, unquote, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exuvia import __version__
from exuvia.studio.settings import Settings, is_loopback

COOKIE = "exuvia_studio"
VERSION = "x-exuvia-version"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
HEADERS |= {"content-security-policy": PAGE_POLICY}
HEADERS |= dict.fromkeys(("cross-origin-resource-policy", "cross-origin-opener-policy"), "same-origin")
"""Headers of every answer that does not set them itself."""
SAFE = ("GET", "HEAD", "OPTIONS")


class _TooLarge(Exception):
    """A body grew past its limit while it was read."""


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.too_large = f"found a request of more than {settings.limits.body_bytes:,} bytes, expected a smaller one"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        size, started, cookie = 0, False, ""

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.settings.limits.body_bytes:
                raise _TooLarge
            return message

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _seal(message, cookie)
            await send(message)

        async def answer(message: Message) -> None:
            nonlocal started
            started = started or size <= self.settings.limits.body_bytes
            if started:  # else the application speaks of a body that was cut off
                await sealed(message)

        async def refuse(status: int, text: str) -> None:
            headers = {"connection": "close"} if status == 413 else None
            await JSONResponse({"detail": text}, status, headers)(scope, receive, sealed)

        if (refusal := self._refusal(asked)) is not None:
            await refuse(*refusal)
            return
        if self.settings.token and "token" in asked.query_params:
            cookie = quote(self.settings.token, safe="")
            if not asked.url.path.startswith("/api/"):  # a page: its address must not keep the token
                rest = urlencode([pair for pair in asked.query_params.multi_items() if pair[0] != "token"])
                place = "/" + asked.url.path.lstrip("/") + (rest and f"?{rest}")
                await RedirectResponse(place, 303)(scope, receive, sealed)
                return
        with contextlib.suppress(_TooLarge):
            await self.app(scope, counted, answer)
        if size > self.settings.limits.body_bytes and not started:
            await refuse(413, self.too_large)

    def _refusal(self, asked: HTTPConnection) -> tuple[int, str] | None:
        """Status and sentence for a request that may not pass."""
        try:
            host = urlsplit(f"//{asked.headers.get('host', '')}")
            name, port = host.hostname or "", host.port
        except ValueError:
            name, port = "", None
        if is_loopback(self.settings.host) and not is_loopback(name):  # somebody else's name for this machine
            return 421, "this studio answers to localhost and 127.0.0.1 only"
        if asked.scope["method"] not in SAFE and not _same_origin(asked, name, port):
            return 403, "this request comes from another site's page; the studio takes none"
        try:
            if int(asked.headers.get("content-length", "0")) > self.settings.limits.body_bytes:
                return 413, self.too_large
        except ValueError:
            return 400, "found a content-length that is no number"
        if self.settings.token and not self._knows_token(asked):
            return 401, "this studio asks for its token; open the address that it printed when it was started"
        theirs = asked.headers.get(VERSION, __version__)
        if theirs != __version__:
            return 409, f"this page is of version {theirs[:20]}, the studio of {__version__}; load the page again"
        return None

    def _knows_token(self, asked: HTTPConnection) -> bool:
        header = asked.headers.get("authorization", "").removeprefix("Bearer ")
        given = [header.encode("latin-1"), unquote(header).encode(), unquote(asked.cookies.get(COOKIE, "")).encode()]
        given.append(asked.query_params.get("token", "").encode())
        return any(secrets.compare_digest(one, self.settings.token.encode()) for one in given)


def _same_origin(asked: HTTPConnection, name: str, port: int | None) -> bool:
    """Whether a page of the studio itself, or no page at all, sends this."""
    if asked.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = asked.headers.get("origin")
    if origin is None:
        return True
    try:
        from_where = urlsplit(origin)
        return (from_where.hostname, from_where.port) == (name, port)
    except ValueError:
        return False


def _seal(message: Message, cookie: str) -> None:
    message.setdefault("headers", [])
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers[VERSION] = __version__
    if cookie:
        headers.append("set-cookie", f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000")
