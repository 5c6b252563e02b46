"""The app's server, which is for this machine alone."""

import contextlib
import logging
import os
import pathlib
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from bginv.errors import UserError

HOST = "127.0.0.1"
HOSTS = [HOST, "localhost"]
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; "
    "frame-ancestors 'self'; form-action 'self'"
)
"""What a browser may load and ask: nothing from elsewhere."""
REFUSED = ("/proxy=", "/upload", "file=http")
"""Of Gradio's routes: those that fetch from elsewhere, or take files, which the app never asks."""
FONTS = {
    "font": ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
    "font_mono": ("ui-monospace", "Menlo", "Consolas", "monospace"),
}
BUTTONS = {
    f"button_{kind}_background_fill{state}": colour
    for kind, colours in (("primary", ("#1d4ed8", "#1e40af")), ("cancel", ("#b91c1c", "#991b1b")))
    for hover, colour in zip(("", "_hover"), colours, strict=True)
    for state in (hover, f"{hover}_dark")
}
"""Colours that white letters can be read on."""


class Gate:
    """Refuses routes that the app does not need, and tells browsers to load nothing else.

    Args:
        app: what answers the rest.
    """

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        elsewhere = _origin(scope) not in (None, *HOSTS)
        if elsewhere or any(part in scope["path"] for part in REFUSED):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            return await send({"type": "http.response.body", "body": b"not a part of this app"})

        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message = {**message, "headers": [*message.get("headers", []), policy]}
            await send(message)

        return await self._app(scope, receive, send_with_policy)


def _origin(scope: Mapping[str, Any]) -> str | None:
    """The host whose page asks; None where a browser does not say, as for a page that is opened."""
    headers = dict(scope["headers"])
    told = headers.get(b"origin", b"").decode("latin-1")
    return urllib.parse.urlsplit(told).hostname or "unknown" if told else None


def _ask_no_proxy() -> None:
    """Let this process reach its own server directly, as Gradio does when it begins."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*filter(None, [named]), *HOSTS])


@contextlib.contextmanager
def serve(page: gr.Blocks, folder: pathlib.Path, port: int) -> Iterator[str]:
    """Serve the page on this machine's own address.

    Args:
        page: of `build`.
        folder: of `build`; nothing outside it is served.
        port: 0 takes one that is free.

    Returns:
        The address, as long as it is served.

    Raises:
        UserError: the port is taken.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells each request
    _ask_no_proxy()
    try:
        _, address, _ = page.launch(
            server_name=HOST,
            server_port=port or None,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            allowed_paths=[str(folder)],
            theme=gr.themes.Default(**FONTS).set(**BUTTONS),
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            app_kwargs={
                "middleware": [Middleware(TrustedHostMiddleware, HOSTS), Middleware(Gate)],
                "docs_url": None,
                "redoc_url": None,
            },
        )
    except OSError as error:
        raise UserError(f"--port {port} is taken: name another, or 0 for any") from error
    try:
        yield address
    finally:
        page.close(verbose=False)
