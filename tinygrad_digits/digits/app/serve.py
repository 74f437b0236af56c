"""A page to draw digits on, and the small server behind it.

GET    /             the page; its parts are under /static
POST   /read         {"pixels": rows of numbers in 0 ... 255, no ink 0}, 8 to 64 rows and columns ->
                     {"digit", "unlike": whether it looks like none, "probabilities": [10],
                     "image", "saliency", "occlusion": [8][8] each}
POST   /tape         {"pixels"} -> {"svg": the tape of that reading, drawn}
POST   /mine         {"pixels", "strokes": [[[x, y], ...], ...] in 0 ... 1, "digit": what it was} ->
                     {"kept": its name, "folder": where}; see corrections.py
DELETE /mine/<name>  takes it back

What is not understood is answered with 4xx and {"error": what and why}. The server is for this
computer alone by default, so it answers only to the names that a computer has for itself: a page
from elsewhere whose name has been pointed at 127.0.0.1 (DNS rebinding) is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket
from collections.abc import Callable, Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from ..extras import extra
from ..model.mlp import Params
from ..runs.familiar import Manner
from .connections import PATIENCE, Connection
from .corrections import forget, keep, own_folder
from .inference import DrawingError, Reading, digit_of, draw_tape, ink_of, reader, strokes_of

with extra("serve"):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")
LARGEST_BODY = 64 * 1024
"""Bytes: four times what 64x64 integers take."""

FILES = {
    "/": ("index.html", "text/html"),
    "/static/page.js": ("page.js", "text/javascript"),
    "/static/style.css": ("style.css", "text/css"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def application(
    params: Params,
    hosts: Collection[str] | None = LOOPBACK,
    mine: Path | None = None,
    manner: Manner | None = None,
) -> Starlette:
    """The page and its reader as an ASGI application.

    It answers to the names in `hosts`, with None to any; corrections go to the folder `mine`,
    by default the user's own. With a manner what looks like no digit is said to be none. Raises
    RunError where the model is not one of digits.

    >>> from ..model import init_params
    >>> sorted(route.path for route in application(init_params()).routes)[:2]
    ['/', '/mine']
    """
    desk = Desk(params, manner, own_folder() if mine is None else mine)
    return Starlette(
        routes=[
            *map(make_file_route, FILES),
            Route("/read", desk.read, methods=["POST"]),
            Route("/tape", desk.tape, methods=["POST"]),
            Route("/mine", desk.keep, methods=["POST"]),
            Route("/mine/{name}", desk.forget, methods=["DELETE"]),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={HTTPException: _refused},
    )


class Desk:
    """What is answered about drawings, by one model; corrections go to one folder."""

    def __init__(self, params: Params, manner: Manner | None, folder: Path) -> None:
        self.params, self.folder, self.reading = params, folder, reader(params, manner)

    async def read(self, request: Request) -> JSONResponse:
        """What the drawing is, and why."""
        (ink,) = await _content(request, "pixels")
        return JSONResponse(_plain(self.reading(_check(ink_of, ink))))

    async def tape(self, request: Request) -> JSONResponse:
        """How that came about, drawn."""
        (ink,) = await _content(request, "pixels")
        image = self.reading(_check(ink_of, ink)).image
        return JSONResponse({"svg": draw_tape(self.params, image)})

    async def keep(self, request: Request) -> JSONResponse:
        """Keep what somebody says that a drawing is."""
        pixels, strokes, digit = await _content(request, "pixels", "strokes", "digit")
        found = self.reading(_check(ink_of, pixels))
        strokes, digit = _check(strokes_of, strokes), _check(digit_of, digit)
        try:
            name = keep(self.folder, digit, found.image, strokes, found.digit)
        except OSError as error:
            raise HTTPException(500, f"cannot write to {self.folder}: {error.strerror}") from error
        return JSONResponse({"kept": name, "folder": str(self.folder)})

    async def forget(self, request: Request) -> JSONResponse:
        """Take it back."""
        if not forget(self.folder, request.path_params["name"]):
            raise HTTPException(404, "no such drawing is kept")
        return JSONResponse({})


def run(
    params: Params,
    manner: Manner | None = None,
    host: str = LOOPBACK[0],
    port: int = 0,
    ready: Callable[[str], object] = lambda _address: None,
) -> None:
    """Serve until Ctrl-C; `ready` is called with the address, which can be opened from then on.

    Port 0 is any free one. Raises OSError where the host is none of ours or the port is taken.
    """
    hosts = None if host in EVERYWHERE else {*LOOPBACK, host}
    app = application(params, hosts, manner=manner)
    with listening(host, port) as listener, contextlib.suppress(KeyboardInterrupt):
        ready(address(listener))
        server(app).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A listening TCP socket. An OSError names the address, and a remedy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        taken = getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
        remedy = "--port 0" if taken else f"--host {LOOPBACK[0]}"
        raise OSError(f"cannot listen at {host} port {port} ({reason}): try {remedy}") from error


def address(listener: socket.socket) -> str:
    """Where a browser on this computer finds the page: http://127.0.0.1:8000/."""
    host, port = listener.getsockname()[:2]
    host = LOOPBACK[0] if host in EVERYWHERE else host
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def server(app: Starlette) -> uvicorn.Server:
    """A quiet server of one process that bounds what a client may hold on to."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )


class Guard:
    """Middleware: refuses requests for other hosts, and has every answer say what it may do."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] != "http":  # a server's own business: there are no other routes
            await self.app(scope, receive, send)
            return
        app = self.app
        if self.hosts is not None and _hostname(Headers(scope=scope)) not in self.hosts:
            names = " or ".join(sorted(self.hosts))
            app = JSONResponse({"error": f"this server answers to {names} alone"}, 421)
        await app(scope, receive, guarded)


def _hostname(headers: Headers) -> str | None:
    """Whom the request is for, without the port; None where it does not say."""
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        return None


def make_file_route(path: str, files: Mapping[str, tuple[str, str]] = FILES) -> Route:
    """A route to a file of the page, which is read once."""
    name, media_type = files[path]
    content = resources.files(__package__).joinpath("page", name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=media_type)

    return Route(path, answer)


async def _body(request: Request) -> bytes:
    """The body of a JSON request; no more is held of it than the limit."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the content type must be application/json")
    hang_up = {"Connection": "close"}  # rather than wait for the rest
    too_large = HTTPException(413, f"a drawing takes {LARGEST_BODY} bytes at most", hang_up)
    if int(request.headers.get("content-length", 0)) > LARGEST_BODY:
        raise too_large
    body = b""
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise too_large
    except TimeoutError as error:
        late = f"the drawing did not arrive within {PATIENCE:g} s"
        raise HTTPException(408, late, hang_up) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the drawing broke off") from error
    return body


async def _content(request: Request, *names: str) -> list[Any]:
    """What a request's body says under these names and no others, unchecked as yet."""
    body = await _body(request)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body must be JSON") from error
    if not isinstance(content, dict) or set(content) != set(names):
        wanted = ", ".join(f'"{name}": ...' for name in names)
        raise HTTPException(422, f"the body must be {{{wanted}}}")
    return [content[name] for name in names]


def _check(check: Callable[[Any], T], value: Any) -> T:
    """What `check` makes of a value; the client's mistake where it is not a drawing's."""
    try:
        return check(value)
    except DrawingError as error:
        raise HTTPException(422, str(error)) from error


def _plain(found: Reading) -> dict[str, Any]:
    """For JSON."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in found._asdict().items()
    }


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
