"""Style sheets, scripts and fonts: read once, compressed once, cached for ever under an address that changes."""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from dashboard.admission import PUBLIC
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    content: bytes
    packed: bytes
    kind: str
    tag: str


@functools.cache
def static() -> tuple[str, dict[str, Asset]]:
    """The files by their path under `static/`, and a hash over all of them that stands in their addresses."""
    files = dict(sorted(_walk(resources.files("dashboard").joinpath("static"), "")))
    digest = hashlib.sha256(b"".join(name.encode() + one.content for name, one in files.items())).hexdigest()
    return digest[:16], files


def base() -> str:
    """Where they are: `/static/<hash>`."""
    return f"/static/{static()[0]}"


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found = []
    for one in folder.iterdir():
        if one.is_dir():
            found += _walk(one, f"{prefix}{one.name}/")
        elif (kind := _TYPES.get(one.name.rpartition(".")[2])) is not None:
            content = one.read_bytes()
            packed = b"" if kind == _TYPES["woff2"] else gzip.compress(content, mtime=0)
            found.append(
                (f"{prefix}{one.name}", Asset(content, packed, kind, hashlib.sha256(content).hexdigest()[:32]))
            )
    return found


@get("/static/{digest:str}/{name:path}", opt=PUBLIC, sync_to_thread=False)
def static_file(request: Request[Any, Any, Any], digest: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file. Under another hash it is another release's page that asks: served, but not to be kept."""
    current, files = static()
    asset = files.get(str(name).lstrip("/"))
    if asset is None:
        raise NotFoundError("there is nothing at this path")
    headers = {
        "Cache-Control": _FOR_EVER if digest == current else "no-store",
        "ETag": f'"{asset.tag}"',
        "Vary": "Accept-Encoding",
    }
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    content = asset.content
    if asset.packed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"], content = "gzip", asset.packed
    return Response(content, headers=headers, media_type=asset.kind)
