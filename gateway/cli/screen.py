"""Say what happens: ticked lines with timings, and a spinner where there is a terminal to spin on."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

_WIDTH = 66  # columns of a ticked line's text, so that the times stand under each other on 80
_LEAST = 80  # columns that every table is made for
_LATE = 1.0  # seconds after which a step without a spinner says what it is about
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_ANSI = {"cyan": "36", "magenta": "35", "green": "32", "yellow": "33", "blue": "34", "bright_blue": "94"}


class Step:
    """A step that is being taken; set `done` to what its ticked line should say."""

    def __init__(self, done: str) -> None:
        self.done = done


class _Console(Console):
    """A console that reports a reader who has gone, where rich would end the thread that speaks."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Screen:
    """Where a command speaks. Safe to use from several threads; a reader that has gone is no error."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        if hasattr(self._file, "reconfigure"):
            self._file.reconfigure(errors="replace")  # a log line may hold what the terminal's encoding lacks
        self._console = _Console(file=self._file, highlight=False)
        self._lock = threading.Lock()
        self._tick, self._cross = ("✓", "✗") if self._console.encoding.startswith("utf") else ("ok", "!!")
        self.closed = False

    @property
    def is_terminal(self) -> bool:
        """Whether somebody can watch a line change."""
        return self._console.is_terminal

    def say(self, what: RenderableType = "") -> None:
        """Print a line or a renderable; words are never broken, so that a URL can be copied."""
        self._print(what, soft_wrap=isinstance(what, str))

    def show(self, what: RenderableType) -> None:
        """Print a renderable, laid out to the width of the terminal."""
        self._print(what, soft_wrap=False)

    def tabulate(self, what: RenderableType) -> None:
        """Print a table that was laid out to `width`; nothing of it is cut off."""
        narrow = self._console.width
        if narrow >= _LEAST:
            self.show(what)
            return
        self._console.width = _LEAST  # of a print alone, rich takes the lesser of the two
        try:
            self._print(what, soft_wrap=False)
        finally:
            self._console.width = narrow

    @property
    def width(self) -> int:
        """Columns to lay a table out for: the terminal's, but at least 80; a narrower one wraps the lines itself."""
        return max(_LEAST, self._console.width)

    def line(self, text: str) -> None:
        """Print a line as it is, of any length, for programs to read."""
        with self._lock:
            self._write(f"{text}\n")

    def clear(self) -> None:
        """Begin anew at the top, where there is a terminal."""
        if self.is_terminal:
            self._console.clear()

    def tick(self, what: str, seconds: float | None = None) -> None:
        """Print a line for something that is done, and how long it took."""
        self._mark(f"[green]{self._tick}[/]", what, seconds)

    def cross(self, what: str, seconds: float | None = None) -> None:
        """Print a line for something that did not work out."""
        self._mark(f"[red]{self._cross}[/]", what, seconds)

    def fail(self, message: str) -> None:
        """Say on standard error why this is the end."""
        with self._lock, suppress(OSError):
            print(f"\nledgate: {message}", file=sys.stderr, flush=True)  # noqa: T201 - the command's answer

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Show that something is being done and for how long, then tick it, unless it raises."""
        step = Step(doing)
        started = time.monotonic()
        if self.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            with Progress(*columns, console=self._console, transient=True) as progress:
                progress.add_task(escape(doing))
                yield step
        else:
            late = threading.Timer(_LATE, self.say, [escape(f"{doing} ...")])
            late.daemon = True
            late.start()
            try:
                yield step
            finally:
                late.cancel()
        self.tick(step.done, time.monotonic() - started)

    @contextmanager
    def bar(self, doing: str, *, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show how far something is, where there is a terminal; give the block what to tell the count to."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, disable=not self.is_terminal) as progress:
            task = progress.add_task(escape(doing), total=total)

            def show(count: int) -> None:
                # A total that was counted in part grows with what is found.
                progress.update(task, completed=count, total=None if total is None else max(total, count))

            yield show

    def log(self, source: str, colour: str, line: str) -> None:
        """Pass on a line of another process, as it is: to render each would slow that process down."""
        if self.is_terminal and not self._console.no_color:
            text = f"\x1b[{_ANSI[colour]}m{source:<14}\x1b[0m{line}\n"
        else:
            text = f"{source:<14}{_CONTROL.sub('', line)}\n"
        with self._lock:
            self._write(text)

    def _mark(self, mark: str, what: str, seconds: float | None) -> None:
        pad = " " * max(1, _WIDTH - len(what))
        taken = f"{pad}[dim]{duration(seconds):>8}[/]" if seconds is not None else ""
        self.say(f"{mark} {escape(what)}{taken}")

    def _print(self, what: RenderableType, *, soft_wrap: bool) -> None:
        with self._lock:
            try:
                self._console.print(what, soft_wrap=soft_wrap)
                self._file.flush()
            except OSError:
                self._lose()

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:
            self._lose()

    def _lose(self) -> None:
        """The reader has gone (`make run | head`): what is still said goes nowhere, also at the exit."""
        self.closed = True
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self._file.fileno())


def duration(seconds: float) -> str:
    """Milliseconds below one second, tenths of a second from there on."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
