"""The Swagger page, the demo page, and their files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

from audio_classifier.assets import asset_path
from audio_classifier.server.schemas import TITLE
from audio_classifier.service.settings import RouteGroup

WEB: Final = Path(__file__).parent / "web"
SAMPLES: Final = ("church-bell.wav", "dial-tone.wav", "speech.wav", "town.wav")
SWAGGER_FILES: Final = ("swagger.css", "swagger.js")
TYPES: Final = MappingProxyType(
    {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".wav": "audio/wav"}
)
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
)
DEMO_POLICY: Final = POLICY + "img-src 'self'; media-src blob:"
# Swagger UI's style sheet contains its icons.
SWAGGER_POLICY: Final = POLICY + "img-src 'self' data:"
HEADERS: Final = MappingProxyType(
    {
        # Browsers revalidate by ETag, because after an upgrade old files would not fit new ones.
        "Cache-Control": "no-cache",
        "Permissions-Policy": "microphone=(self)",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)


def page_routes(disabled: Collection[RouteGroup] = ()) -> APIRouter:
    """Return the routes ``/`` (Swagger UI), ``/demo``, and ``/demo/{name}`` for their files.

    A page links to the other one unless that is disabled.
    """
    router = APIRouter(include_in_schema=False)
    # A fixed table: no name can lead out of the folder.
    paths: dict[str, Path] = {}
    if "docs" not in disabled:
        _add_swagger_page(router, links_to_demo="demo" not in disabled)
        paths |= {name: WEB / name for name in SWAGGER_FILES}
    if "demo" not in disabled:
        _add_demo_page(router, links_to_docs="docs" not in disabled)
        paths |= {path.name: path for path in WEB.iterdir() if path.suffix in TYPES}
        paths |= {name: asset_path(name) for name in SAMPLES}
    if paths:
        _add_files(router, paths)
    return router


def _add_swagger_page(router: APIRouter, *, links_to_demo: bool) -> None:
    page = Template((WEB / "swagger.html").read_text(encoding="utf-8"))

    @router.get("/")
    def swagger_page(request: Request) -> Response:
        # Relative if no root path is known, because a proxy may have removed it.
        base = escape(f"{root}/" if (root := request.scope.get("root_path")) else "")
        link = f'<nav><a href="{base}demo">Try the demo with your own recording</a></nav>'
        navigation = link if links_to_demo else ""
        content = page.substitute(base=base, title=escape(TITLE), navigation=navigation).encode()
        return _respond(request, content, "text/html", SWAGGER_POLICY)


def _add_demo_page(router: APIRouter, *, links_to_docs: bool) -> None:
    page = Template((WEB / "demo.html").read_text(encoding="utf-8"))
    content = page.substitute(
        navigation='<p><a href="./">API documentation</a></p>' if links_to_docs else ""
    ).encode()

    @router.get("/demo")
    def demo_page(request: Request) -> Response:
        return _respond(request, content, "text/html", DEMO_POLICY)


def _add_files(router: APIRouter, paths: Mapping[str, Path]) -> None:
    @router.get("/demo/{name}")
    def page_file(request: Request, name: str) -> Response:
        if name not in paths:
            raise HTTPException(404)
        path = paths[name]
        return _respond(request, path.read_bytes(), TYPES[path.suffix], DEMO_POLICY)


def _respond(request: Request, content: bytes, media_type: str, policy: str) -> Response:
    """Respond with an ETag of the content, because files in layers and images all have the same times."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "Content-Security-Policy": policy, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
