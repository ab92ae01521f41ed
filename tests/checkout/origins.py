"""The checkout's origin as the SDK's tests have it: the built files, and a frame that does what a test says."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.origins import Answer, Origin, Shop

__all__ = ["Checkout", "Shop"]

PAGES = Path(__file__).parent / "pages"
FRAME = (PAGES / "frame.html").read_bytes()
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".map": "application/json", ".json": "application/json"}


class Checkout(Origin):
    """The built files, and at `/checkout` the frame of the tests; `order_id=away` is answered by an empty 503."""

    def __init__(self, dist: Path) -> None:
        super().__init__("localhost")
        self._dist = dist
        self.moved: dict[str, str] = {}

    @property
    def script(self) -> str:
        return f'<script src="{self.url}/checkout.js"></script>'

    def answer(self, path: str) -> Answer:
        address = urlsplit(path)
        if address.path == "/checkout":
            order = parse_qs(address.query).get("order_id", [""])[0]
            if order in self.moved:
                return Answer(b"", {"Location": self.moved[order]}, 302)
            return Answer(b"", status=503) if order == "away" else Answer(FRAME)
        file = self._dist / address.path.removeprefix("/")
        if not file.is_file():
            return Answer(b"", status=404)
        headers = {
            "Content-Type": f"{TYPES.get(file.suffix, 'text/plain')}; charset=utf-8",
            "Access-Control-Allow-Origin": "*",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        return Answer(file.read_bytes(), headers)
