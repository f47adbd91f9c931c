"""How a log line looks: one fact, ids as fields; JSON for machines, plain text on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO

import msgspec
import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRET_FIELDS = frozenset({"password", "key", "token_secret", "authorization"})


class _Undisturbed:
    """A stream whose trouble (disk full, reader gone) costs lines, never disturbs the one who logs (D6)."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure(level: str, form: str) -> None:
    """Log from `level` on to standard error, as «json» or «text» («auto»: text on a terminal)."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        masked,
    ]
    if as_json:
        shared += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    else:
        plain = structlog.dev.plain_traceback
        shared.append(harmless)
        shared.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain))
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(_Undisturbed(sys.stderr)),
        cache_logger_on_first_use=False,
    )
    # Libraries speak up only when something is wrong.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


def masked(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Secrets never reach a log, whatever a caller passes."""
    for field in _SECRET_FIELDS & event.keys():
        event[field] = "***"
    return event


def harmless(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """What a charger sent cannot paint on a terminal, nor begin a line of its own."""
    for field, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[field] = repr(value)
    return event


def _json(event: dict[str, Any], **_options: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except UnicodeEncodeError:  # Half a surrogate pair, as in a file name that is not UTF-8.
        return json.dumps(event, default=repr)
