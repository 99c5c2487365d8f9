"""Middleware that checks origin, token and size of every request, and adds security headers to every response."""

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
"""Headers of every response that does not set them itself."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class _TooLarge(Exception):
    """The body exceeded its limit while it was read."""


class Guard:
    """ASGI middleware for the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.too_large = f"found a request of more than {settings.limits.body_bytes:,} bytes, expected a smaller one"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        size, started, cookie = 0, False, ""

        async def receive_limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.settings.limits.body_bytes:
                raise _TooLarge
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, cookie)
            await send(message)

        async def answer(message: Message) -> None:
            nonlocal started
            started = started or size <= self.settings.limits.body_bytes
            if started:  # else the application answers a body that was cut off
                await send_with_headers(message)

        async def refuse(status: int, text: str) -> None:
            headers = {"connection": "close"} if status == 413 else None
            await JSONResponse({"detail": text}, status, headers)(scope, receive, send_with_headers)

        if (refusal := self._refusal(request)) is not None:
            await refuse(*refusal)
            return
        if self.settings.token and "token" in request.query_params:
            cookie = quote(self.settings.token, safe="")
            if not request.url.path.startswith("/api/"):  # remove the token from the address of a page
                rest = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != "token"])
                target = "/" + request.url.path.lstrip("/") + (rest and f"?{rest}")
                await RedirectResponse(target, 303)(scope, receive, send_with_headers)
                return
        with contextlib.suppress(_TooLarge):
            await self.app(scope, receive_limited, answer)
        if size > self.settings.limits.body_bytes and not started:
            await refuse(413, self.too_large)

    def _refusal(self, request: HTTPConnection) -> tuple[int, str] | None:
        """Return status and sentence for a request that is refused, else None."""
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}")
            name, port = host.hostname or "", host.port
        except ValueError:
            name, port = "", None
        if is_loopback(self.settings.host) and not is_loopback(name):  # protects against DNS rebinding
            return 421, "this studio answers to localhost and 127.0.0.1 only"
        if request.scope["method"] not in SAFE_METHODS and not _same_origin(request, name, port):
            return 403, "this request comes from another site's page; the studio accepts its own pages only"
        try:
            if int(request.headers.get("content-length", "0")) > self.settings.limits.body_bytes:
                return 413, self.too_large
        except ValueError:
            return 400, "found a content-length that is not a number"
        if self.settings.token and not self._has_token(request):
            return 401, "this studio needs its token; open the address that it printed at start-up"
        version = request.headers.get(VERSION, __version__)
        if version != __version__:
            return 409, f"this page has version {version[:20]}, the studio has {__version__}; reload the page"
        return None

    def _has_token(self, request: HTTPConnection) -> bool:
        header = request.headers.get("authorization", "").removeprefix("Bearer ")
        tokens = [header.encode("latin-1"), unquote(header).encode(), unquote(request.cookies.get(COOKIE, "")).encode()]
        tokens.append(request.query_params.get("token", "").encode())
        return any(secrets.compare_digest(token, self.settings.token.encode()) for token in tokens)


def _same_origin(request: HTTPConnection, name: str, port: int | None) -> bool:
    """Return whether the request comes from a page of this studio or from no page."""
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        source = urlsplit(origin)
        return (source.hostname, source.port) == (name, port)
    except ValueError:
        return False


def _add_headers(message: Message, cookie: str) -> None:
    message.setdefault("headers", [])
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers[VERSION] = __version__
    if cookie:
        headers.append("set-cookie", f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000")
