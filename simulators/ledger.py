"""What was sent about transactions, and what was answered: lines of JSON on disk, only appended.

A batch is written and fsynced a fifth of a second after its first line, by a thread of the ledger's own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

BATCH_SECONDS = 0.2
MOST_PARTS = 1_000


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line. `letter` counts a station's messages: attempts to deliver the same one share it.

    kind is `sent`, `answered` (a CALLRESULT, its payload) or `refused` (a CALLERROR, its code).
    """

    kind: str
    at: float  # Seconds since the epoch, the wall's.
    operator: str | None = None
    station: str
    version: str
    letter: int
    session: int
    id: str
    action: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    code: str | None = None


class LedgerError(Exception):
    """The ledger cannot be read or written. Check the path, the disk and that it is a ledger of csms-sim."""


class Ledger:
    """Append-only; `add` never waits for the disk."""

    def __init__(self, path: Path | str, *, wall: Callable[[], float] = time.time):
        self.path = Path(path)
        self._wall = wall
        try:
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise LedgerError(f"cannot write {self.path}: {error.strerror}") from error
        self._lines: list[bytes] = []
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._write_batches, name="ledger", daemon=True)
        self._thread.start()

    def add(
        self,
        kind: str,
        *,
        operator: str | None,
        station: str,
        version: str,
        letter: int,
        session: int,
        id: str,
        action: str,
        payload: bytes = b"{}",
        code: str | None = None,
    ) -> None:
        line = Line(
            kind=kind,
            at=round(self._wall(), 6),
            operator=operator,
            station=station,
            version=version,
            letter=letter,
            session=session,
            id=id,
            action=action,
            payload=msgspec.Raw(payload),
            code=code,
        )
        self._lines.append(msgspec.json.encode(line))
        self._wake.set()

    def close(self) -> None:
        """Write what is left; raise what the disk refused, since a ledger with holes proves nothing."""
        self._closing.set()
        self._wake.set()
        self._thread.join()
        self._file.close()
        if self._failure is not None:
            raise LedgerError(f"cannot write {self.path}: {self._failure.strerror}") from self._failure

    def _write_batches(self) -> None:
        while True:
            self._wake.wait()
            self._closing.wait(BATCH_SECONDS)
            self._wake.clear()
            lines, self._lines = self._lines, []
            if lines:
                self._write(b"\n".join(lines) + b"\n")
            elif self._closing.is_set():
                return
            if self._closing.is_set():
                self._wake.set()

    def _write(self, batch: bytes) -> None:
        try:
            view = memoryview(batch)
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._failure = self._failure or error


def parts(path: Path) -> list[Path]:
    """The file, or those that the processes of one run wrote in its place: FILE.1, FILE.2 …"""
    if path.exists():
        return [path]
    found = [path.with_name(f"{path.name}.{number}") for number in range(1, 1 + MOST_PARTS)]
    return [part for part in found if part.exists()] or [path]


def read(path: Path | str) -> Iterator[Line]:
    """The lines of a ledger, in all its parts; a last one that was cut off while being written is left out."""
    for part in parts(Path(path)):
        yield from _read(part)


def _read(path: Path) -> Iterator[Line]:
    decode = msgspec.json.Decoder(Line).decode
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    return
                try:
                    yield decode(text)
                except msgspec.DecodeError as error:
                    raise LedgerError(f"{path}, line {number}, is no line of a ledger: {error}") from error
    except OSError as error:
        raise LedgerError(f"cannot read {path}: {error.strerror}") from error
