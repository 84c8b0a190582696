"""The Swagger page, the demo page, and their files."""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

from audio_classifier.assets import asset_path
from audio_classifier.server.schemas import TITLE

WEB: Final = Path(__file__).parent / "web"
SAMPLES: Final = ("church-bell.wav", "dial-tone.wav", "speech.wav", "town.wav")
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


def page_routes() -> APIRouter:
    """Return the routes ``/`` (Swagger UI), ``/demo``, and ``/demo/{name}`` for their files."""
    router = APIRouter(include_in_schema=False)
    # A fixed table: no name can lead out of the folder.
    paths = {path.name: path for path in WEB.iterdir() if path.suffix in TYPES}
    paths |= {name: asset_path(name) for name in SAMPLES}

    @router.get("/")
    def swagger_page(request: Request) -> Response:
        # Relative if no root path is known, because a proxy may have removed it.
        base = f"{root}/" if (root := request.scope.get("root_path")) else ""
        page = Template((WEB / "swagger.html").read_text(encoding="utf-8"))
        content = page.substitute(base=escape(base), title=escape(TITLE)).encode()
        return _respond(request, content, "text/html", SWAGGER_POLICY)

    @router.get("/demo")
    def demo_page(request: Request) -> Response:
        return _respond(request, (WEB / "demo.html").read_bytes(), "text/html", DEMO_POLICY)

    @router.get("/demo/{name}")
    def page_file(request: Request, name: str) -> Response:
        if name not in paths:
            raise HTTPException(404)
        path = paths[name]
        return _respond(request, path.read_bytes(), TYPES[path.suffix], DEMO_POLICY)

    return router


def _respond(request: Request, content: bytes, media_type: str, policy: str) -> Response:
    """Respond with an ETag of the content, because files in layers and images all have the same times."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "Content-Security-Policy": policy, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
