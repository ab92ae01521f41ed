"""The code of the docs page: files of `snippets/` with the merchant's own key and addresses; whole receivers."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dashboard import code
from gateway import demo

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from dashboard.code import Language, Token

_API, _CHECKOUT = "http://localhost:8000", "http://localhost:3001"  # as the files have them
_ORDER = "your_order_id"
_SECRET, _WHENCE = "your_secret", "  # shown once, when the key was made"
_LANGUAGES: dict[str, tuple[str, Language]] = {
    "curl": ("curl", "bash"),
    "python": ("Python", "python"),
    "node": ("Node", "javascript"),
    "sql": ("SQL", "sql"),
    "pinned": ("Script, pinned", "html"),
    "newest": ("Script, always the newest", "html"),
    "module": ("Module", "html"),
}
_FILES = {
    "secret": ("curl",),
    "order": ("curl", "python", "node"),
    "sdk": ("pinned", "newest", "module"),
    "payment": ("curl", "python", "node"),
    "webhook": ("python", "node"),
}
RECEIVER = {"python": "python/receiver.py", "node": "node/receiver.js", "sql": "receiver.sql"}


class Place(msgspec.Struct, frozen=True):
    """Whose snippets, and where they go."""

    api: str
    """The API's address, without a path."""
    checkout: str
    """The checkout's origin."""
    key: str
    """The merchant's publishable key."""
    is_demo: bool
    """It is the demo's key in test mode: its secret and orders are public, and snippets run as they stand."""


class Pane(msgspec.Struct, frozen=True):
    """One language's form of a snippet."""

    language: str
    """As `data-lang` has it: `curl`, `python`, `node`, …"""
    label: str
    text: str

    @property
    def tokens(self) -> tuple[Token, ...]:
        """In colours."""
        return code.tokens(self.text, _LANGUAGES[self.language][1])


def snippets(place: Place) -> dict[str, list[Pane]]:
    """What the page shows, by its name: a pane for each language, the first one open."""
    found = {name: [_pane(one, _filled(f"{name}.{one}", place)) for one in those] for name, those in _FILES.items()}
    return found | {"receiver": [_pane(one, receiver(one)) for one in RECEIVER]}


@functools.cache
def receiver(language: str) -> str:
    """A whole receiver: the very file of examples/receivers, which the wheel has a copy of."""
    packed: Traversable = resources.files("dashboard").joinpath("receivers")
    if not packed.is_dir():
        packed = Path(__file__).parents[2] / "examples" / "receivers"
    return packed.joinpath(RECEIVER[language]).read_text("utf-8")


@functools.cache
def _read(name: str) -> str:
    return resources.files("dashboard").joinpath("snippets", name).read_text("utf-8")


@functools.cache
def _build() -> tuple[str, str]:
    """Version and integrity of the SDK that the checkout serves."""
    file = resources.files("gateway.checkout").joinpath("sdk", "build.json")
    made = msgspec.json.decode(file.read_bytes(), type=dict[str, str | int])
    return str(made["version"]), str(made["integrity"])


def _filled(name: str, place: Place) -> str:
    version, integrity = _build()
    text = _read(name).rstrip("\n")
    for before, after in (
        (_API, place.api),
        (_CHECKOUT, place.checkout),
        (demo.KEY_ID, place.key),
        (demo.ORDER_IDS[0], demo.ORDER_IDS[0] if place.is_demo else _ORDER),
        (_SECRET + _WHENCE, demo.SECRET if place.is_demo else _SECRET + _WHENCE),
        ("VERSION", version),
        ("INTEGRITY", integrity),
    ):
        text = text.replace(before, after)
    return text


def _pane(language: str, text: str) -> Pane:
    return Pane(language, _LANGUAGES[language][0], text.rstrip("\n"))
