"""What `ledgate up` shows on a terminal."""

from __future__ import annotations

import io

from gateway.cli.screen import Screen
from gateway.cli.services import Stack


class Terminal(io.StringIO):
    """Somebody watches."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_lines_of_every_process(monkeypatch) -> None:
    """Each in its colour; a line that could not be shown would end the thread that reads the process's pipe."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    screen = Screen(file)
    for service in Stack(screen, drain=1).services:
        screen.log(service.name, service.colour, f"{service.name} speaks")
        assert f"{service.name} speaks\n" in file.getvalue()
