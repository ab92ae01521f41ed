"""Two origins on this machine: a shop on 127.0.0.1, the checkout on localhost; to a browser these are two sites."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

PAGES = Path(__file__).parent / "pages"
FRAME = (PAGES / "frame.html").read_bytes()
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".map": "application/json", ".json": "application/json"}


class Answer(NamedTuple):
    body: bytes
    headers: Mapping[str, str] = {}
    status: int = 200


class Origin:
    """A server in a thread; subclasses say what is at an address."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                origin.asked.append(self.path)
                answer = origin.answer(self.path)
                self.send_response(answer.status)
                for name, value in ({"Content-Type": "text/html; charset=utf-8"} | dict(answer.headers)).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None: ...

        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{self.host}:{self._server.server_port}"

    def answer(self, path: str) -> Answer:
        raise NotImplementedError

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class Shop(Origin):
    """Pages that tests put up; `/` is an empty one."""

    def __init__(self) -> None:
        super().__init__()
        self._pages: dict[str, Answer] = {"/": Answer(b"<!doctype html><title>Shop</title>")}

    def put(self, html: str, headers: Mapping[str, str] | None = None, *, kind: str = "text/html") -> str:
        """Serve a text at an address of its own."""
        path = f"/{len(self._pages)}"
        content = {"Content-Type": f"{kind}; charset=utf-8", **(headers or {})}
        self._pages[path] = Answer(html.encode(), content)
        return self.url + path

    def answer(self, path: str) -> Answer:
        return self._pages.get(path, Answer(b"", status=404))


class Checkout(Origin):
    """The built files, and at `/checkout` the frame of the tests; `order_id=away` is answered by an empty 503."""

    host = "localhost"

    def __init__(self, dist: Path) -> None:
        super().__init__()
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
