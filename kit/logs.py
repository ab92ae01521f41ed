"""One canonical line per unit of work: JSON for machines, aligned text for people."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal, TextIO, cast

import msgspec
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def setup(*, level: str, style: Literal["json", "console"], service: str) -> None:
    """Send every log line of this process to standard error.

    Args:
        level: debug, info, warning or error; libraries speak from warning on.
        style: `json` is one object a line; `console` is for a terminal.
        service: which process this is; stands in every line.
    """

    def name_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        name_service,
    ]
    structlog.configure(
        processors=[*shared, *_finish(style)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Sink(sys.stderr.buffer)))
        if style == "json"
        else structlog.WriteLoggerFactory(cast("TextIO", _Sink(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")
    # The pool tells of every failed reconnect; `kit.db` says once that the database is away, and once that it is back.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)


class _Sink:
    """A stream that never fails its writer: when nobody reads the log any more, the work still goes on."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream

    def write(self, text: str | bytes) -> None:
        try:
            self._stream.write(text)
        except OSError:
            self._give_up()

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """Let what is buffered and all that comes go nowhere; else the interpreter's last flush fails the process."""
        with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


def _finish(style: Literal["json", "console"]) -> list[Processor]:
    if style == "json":
        return [
            _stamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encode),
        ]
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=24,
            sort_keys=False,
            # Not rich's: it shows local variables, which may be secrets, and takes seconds of CPU for one traceback.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC)  # msgspec writes it as RFC 3339, in a tenth of TimeStamper's time
    return event


def _encode(event: EventDict, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
