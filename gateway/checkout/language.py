"""What the checkout says: a language is a file in `languages/`, and all of them have the same keys."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec

DEFAULT = "en"


class Language:
    """One catalogue."""

    def __init__(self, tag: str, texts: dict[str, str]) -> None:
        self.tag = tag
        self.texts = texts

    def say(self, key: str, **values: str) -> str:
        """A text with its values put in.

        Raises:
            KeyError: the catalogue has no such text.
        """
        return self.texts[key].format(**values)

    def declined(self, code: str | None) -> str:
        """Why a payment failed, as far as we know a word for it."""
        return self.texts.get(f"declined.{code}") or self.texts["declined.other"]


@functools.cache
def catalogues() -> dict[str, Language]:
    """Every language, by its tag."""
    files = resources.files("gateway.checkout").joinpath("languages").iterdir()
    found = {file.name.removesuffix(".json"): file for file in files if file.name.endswith(".json")}
    return {
        tag: Language(tag, msgspec.json.decode(file.read_bytes(), type=dict[str, str]))
        for tag, file in sorted(found.items())
    }


def choose(asked: str | None, accepted: str) -> Language:
    """The language that the page's address asks for, else the one that the browser likes best of ours.

    Args:
        asked: `lang=` of the address.
        accepted: the header Accept-Language.
    """
    known = catalogues()
    for tag in (asked or "", *_preferred(accepted)):
        if found := known.get(tag.lower()) or known.get(tag.lower().partition("-")[0]):
            return found
    return known[DEFAULT]


def _preferred(accepted: str) -> list[str]:
    ranked = []
    for n, part in enumerate(accepted[:1000].split(",")):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        ranked.append((-quality, n, tag.strip()))
    return [tag for quality, _, tag in sorted(ranked) if quality < 0]
