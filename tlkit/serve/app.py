"""The server as an ASGI application."""

from __future__ import annotations

import asyncio
import hmac
import importlib.resources
import time
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tlkit.serve import kserve, tensorflow_rest, upload
from tlkit.serve.bodies import Json
from tlkit.serve.compression import decompressing, find_encoding
from tlkit.serve.deployed import DeployedModel
from tlkit.serve.limits import Limits, Refusal
from tlkit.serve.metrics import Metrics
from tlkit.serve.openapi import describe
from tlkit.serve.service import Service

# open without a token: health checks, and the page, which asks for the token itself
OPEN = ("/", "/v2/health/live", "/v2/health/ready")
# how many bodies of the maximum size may be in memory at once, over all clients
BODIES = 8
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src blob: data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}


def make_app(
    deployed: DeployedModel, limits: Limits, token: str | None = None, origins: Sequence[str] = ()
) -> Starlette:
    """Builds the application that serves a model.

    Args:
        deployed: The model.
        limits: Limits beyond which requests are refused.
        token: Bearer token that clients must send, except for health checks and the page.
        origins: Origins whose pages may send cross-origin requests, such as `https://example.org`.
    """
    metrics = Metrics()
    service = Service(deployed, limits, metrics)
    page = importlib.resources.files(__package__).joinpath("page.html").read_text("utf-8")

    async def show_page(request: Request) -> Response:
        if _asks_for_liveness(request):
            return Json({"status": "alive"})
        return HTMLResponse(page.replace("{name}", deployed.name), headers=HEADERS)

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def show_openapi(_: Request) -> Response:
        return Json(describe(deployed, token is not None))

    middleware = [Middleware(Guard, limits=limits, metrics=metrics, token=token)]
    if origins:
        middleware.insert(
            0,
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
            ),
        )
    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/metrics", show_metrics),
            Route("/openapi.json", show_openapi),
            *upload.routes(service),
            *tensorflow_rest.routes(service),
            *kserve.routes(service),
        ],
        middleware=middleware,
        exception_handlers={
            Refusal: _refuse,
            HTTPException: _refuse_http,
            ClientDisconnect: _gone,
            Exception: _fail,
        },
        lifespan=service.lifespan,
    )


async def _refuse(_: Request, error: Any) -> Response:
    return Json({"error": error.message}, error.status, error.headers)


async def _refuse_http(_: Request, error: Any) -> Response:
    return Json({"error": error.detail}, error.status_code, error.headers)


async def _gone(_: Request, error: Exception) -> Response:
    return Json({"error": "the body was cut short"}, 400)


async def _fail(_: Request, error: Exception) -> Response:
    return Json({"error": f"the model failed: {type(error).__name__}"}, 500)


def _asks_for_liveness(request: Request) -> bool:
    """Whether a request for `/` is KServe protocol 1's liveness check rather than for the page.

    KServe's own client accepts any type and reads JSON; it is recognised by its HTTP library.
    """
    accept = request.headers.get("accept", "*/*")
    if "application/json" in accept:
        return "text/html" not in accept
    return accept == "*/*" and request.headers.get("user-agent", "").startswith("python-httpx/")


class Guard:
    """Checks the token, limits bodies in size and time, and counts requests."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, token: str | None):
        self.app, self.limits, self.metrics, self.token = app, limits, metrics, token
        self.held = 0  # bytes of the bodies of all requests in progress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        start, status = time.perf_counter(), 500
        end = asyncio.get_running_loop().time() + self.limits.seconds
        arrived = 0
        whole = False

        async def bounded() -> Message:
            nonlocal arrived, whole
            if whole:  # after the body, the next message is that the client disconnected
                return await receive()
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise Refusal(408, f"the body took longer than {self.limits.seconds:g} s") from None
            size = len(message.get("body", b""))
            arrived += size
            self.held += size
            if arrived > self.limits.body:
                raise Refusal(413, _too_large(self.limits.body))
            if self.held > BODIES * self.limits.body:
                raise Refusal(503, "too many large requests at once", {"Retry-After": "1"})
            whole = not message.get("more_body", False)
            return message

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if refused := self._refused(request):
                await refused(scope, receive, counted)
            else:
                if encoding := find_encoding(_encodings(request)):
                    receive = decompressing(receive, encoding)
                await self.app(scope, bounded, counted)
        finally:
            self.held -= arrived
            route = scope.get("route")
            path = getattr(route, "path", "other")
            self.metrics.request(path, status, time.perf_counter() - start)

    def _refused(self, request: Request) -> Response | None:
        """The response to a request that can be refused without reading its body."""
        given = request.headers.get("authorization", "")
        if self.token is not None and request.url.path not in OPEN:
            wanted = f"Bearer {self.token}"
            if not hmac.compare_digest(given.encode(), wanted.encode()):
                return Json(
                    {"error": "this server asks for a bearer token"},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.limits.body:
            return Json({"error": _too_large(self.limits.body)}, 413, {"Connection": "close"})
        try:
            find_encoding(_encodings(request))
        except Refusal as error:
            return Json({"error": error.message}, error.status, error.headers)
        return None


def _encodings(request: Request) -> str:
    return ", ".join(request.headers.getlist("content-encoding"))


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit / 2**20:g} MiB"
