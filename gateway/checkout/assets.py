"""Files of the page and the SDK's bundle: read once, compressed once, cached for ever under a name that changes."""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

AnyRequest = Request[Any, Any, Any]

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "map": "application/json",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_MINUTES = "public, max-age=300, stale-while-revalidate=86400"
_SDK = ("checkout.js", "checkout.js.map", "checkout.mjs", "checkout.mjs.map")


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    content: bytes
    packed: bytes
    kind: str
    tag: str


@functools.cache
def static() -> tuple[str, dict[str, Asset]]:
    """The page's own files by name, and a hash over all of them that stands in their addresses.

    One hash for all: modules import each other by their plain names.
    """
    folder = resources.files("gateway.checkout").joinpath("static")
    files = {file.name: _read(file) for file in sorted(folder.iterdir(), key=lambda file: file.name)}
    digest = hashlib.sha256(b"".join(name.encode() + one.content for name, one in files.items())).hexdigest()
    return digest[:16], files


@functools.cache
def sdk() -> dict[str, Asset]:
    """The SDK by the names it is served under, as `make sdk` built it.

    `checkout-<version>.js` is the same script under an address whose bytes never change, for pages that pin a hash.
    """
    folder = resources.files("gateway.checkout").joinpath("sdk")
    files = {name: _read(folder.joinpath(name)) for name in _SDK}
    version = msgspec.json.decode(folder.joinpath("build.json").read_bytes(), type=dict[str, str | int])["version"]
    return files | {f"checkout-{version}.js": files["checkout.js"], f"checkout-{version}.mjs": files["checkout.mjs"]}


def _read(file: Traversable) -> Asset:
    content = file.read_bytes()
    kind = _TYPES[file.name.rpartition(".")[2]]
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content, gzip.compress(content, mtime=0), kind, tag)


@get("/checkout/static/{digest:str}/{name:str}", sync_to_thread=False)
def static_file(request: AnyRequest, digest: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file of the page. Under another hash it is another release's page that asks: served, but not to be kept."""
    current, files = static()
    if name not in files:
        raise NotFoundError("there is nothing at this path")
    return _respond(request, files[name], _FOR_EVER if digest == current else "no-store")


@get([f"/{name}" for name in sdk()], sync_to_thread=False)
def sdk_file(request: AnyRequest) -> Response[bytes]:
    """The SDK, for any page on any origin."""
    name = request.scope["path"].strip("/")
    return _respond(request, sdk()[name], _FOR_MINUTES if name in _SDK else _FOR_EVER)


def _respond(request: AnyRequest, asset: Asset, caching: str) -> Response[bytes]:
    headers = {
        "Cache-Control": caching,
        "ETag": asset.tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    content = asset.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"], content = "gzip", asset.packed
    return Response(content, headers=headers, media_type=asset.kind)
