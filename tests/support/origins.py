"""Origins on this machine: servers in threads. 127.0.0.1 and localhost are two sites to a browser."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self


class Answer(NamedTuple):
    body: bytes
    headers: Mapping[str, str] = {}
    status: int = 200


class Origin(ABC):
    """A server in a thread; subclasses say what is at an address."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        """`host` is what its pages call it, `127.0.0.1` or `localhost`."""
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
        self.url = f"http://{host}:{self._server.server_port}"

    @abstractmethod
    def answer(self, path: str) -> Answer:
        """What is at that path."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class Shop(Origin):
    """Pages that tests put up; `/` is an empty one."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self._pages: dict[str, Answer] = {"/": Answer(b"<!doctype html><title>Shop</title>")}

    def put(self, html: str, headers: Mapping[str, str] | None = None, *, kind: str = "text/html") -> str:
        """Serve a text at an address of its own."""
        path = f"/{len(self._pages)}"
        content = {"Content-Type": f"{kind}; charset=utf-8", **(headers or {})}
        self._pages[path] = Answer(html.encode(), content)
        return self.url + path

    def answer(self, path: str) -> Answer:
        return self._pages.get(path, Answer(b"", status=404))
