"""Before a worker is ready: what the first reader of each page would wait for."""

from __future__ import annotations

from dashboard import assets, render


def warm() -> None:
    """Compile every template and pack every file: up to a second, in the start and in nobody's click."""
    assets.static()
    templates = render.environment()
    for name in templates.list_templates():
        templates.get_template(name)
