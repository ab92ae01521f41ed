"""Before a worker is ready: what the first reader of each page would wait for."""

from __future__ import annotations

from dashboard import assets, render, snippets


def warm() -> None:
    """Compile every template, pack every file, colour the code that all see: in the start and in nobody's click."""
    assets.static()
    templates = render.environment()
    for name in templates.list_templates():
        templates.get_template(name)
    nobody = snippets.Place(api="", checkout="", key="", is_demo=False)
    for panes in snippets.snippets(nobody).values():
        for pane in panes:
            _ = pane.tokens
