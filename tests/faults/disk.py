"""A disk of one's own for a server: it loses power, fills up and fails when told to (disk.c, preloaded)."""

from __future__ import annotations

import functools
import mmap
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("disk.c")
_FIELDS = ("room", "calls", "fail_at", "fail_for", "failed", "delay", "idle")  # As in disk.c.
_FILES = {"main": "", "wal": "-wal", "journal": "-journal"}
_SECTOR = 512
_RECORD = struct.Struct("=qq")


@functools.cache
def _library() -> Path:
    """The compiled shim; skips the test where there is no way to have it."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the failing disk is preloaded, which Linux only allows here")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("the failing disk is written in C: install a compiler (apt install gcc libc6-dev)")
    library = Path(tempfile.mkdtemp(prefix="csms-disk-")) / "disk.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, _SOURCE, "-ldl", "-lpthread"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"the failing disk cannot be compiled: {built.stderr.splitlines()[:1]}")
    return library


class Disk:
    """The disk under `database`; made before the process that uses it, which gets `environment`."""

    def __init__(self, directory: Path, database: Path, *, keeps_shadow: bool = True, holds_log: bool = False):
        self._database = database.resolve()
        self._shadow = directory / "shadow"
        self._shadow.mkdir(exist_ok=True)
        control = directory / "disk.control"
        if not control.exists():
            control.write_bytes(bytes(8 * len(_FIELDS)))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 0)
        self.room = -1
        self.environment = {
            "LD_PRELOAD": str(_library()), "DISK_PATH": str(self._database), "DISK_CONTROL": str(control),
            **({"DISK_SHADOW": str(self._shadow)} if keeps_shadow else {}),
            **({"DISK_LOG": "1"} if holds_log else {}),
        }  # fmt: skip

    @property
    def room(self) -> int:
        """Bytes by which files may still grow; -1: as many as they like."""
        return self._get("room")

    @room.setter
    def room(self, value: int) -> None:
        self._set("room", value)

    @property
    def calls(self) -> int:
        """How many calls went to the disk since `fail` was last asked for."""
        return self._get("calls")

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return self._get("failed")

    def fail(self, at: int, calls: int = 1) -> None:
        """From the `at`-th call on, counted from now, this many fail with EIO; 0: none."""
        for name, value in (("fail_at", 0), ("calls", 0), ("failed", 0), ("fail_for", calls), ("fail_at", at)):
            self._set(name, value)

    def slow(self, seconds: float) -> None:
        """Each sync takes this much longer."""
        self._set("delay", int(seconds * 1e6))

    def keep_all(self) -> None:
        """What the files hold is durable, however it came there; nobody has them open."""
        for name, suffix in _FILES.items():
            self._file(name).unlink(missing_ok=True)
            self._forget(name)
            if self._real(suffix).exists():
                shutil.copyfile(self._real(suffix), self._file(name))

    def lose_power(self, dice: random.Random | None = None) -> int:
        """What was not synced is gone, or, with `dice`, kept in part and torn. Whoever wrote was killed before.

        Returns how many writes were pending.
        """
        pending = 0
        for name, suffix in _FILES.items():
            writes = list(_records(self._file(name + ".pending")))
            pending += len(writes)
            if dice is not None and self._file(name).exists():
                _tear(self._file(name), writes, dice)
            self._forget(name)
            self._real(suffix).unlink(missing_ok=True)
            if self._file(name).exists():
                shutil.copyfile(self._file(name), self._real(suffix))
        self._real("-shm").unlink(missing_ok=True)
        return pending

    @contextmanager
    def idle(self) -> Iterator[None]:
        """For the process under the disk itself: what it opens meanwhile are plain files."""
        self._set("idle", 1)
        yield
        self._set("idle", 0)

    def _forget(self, name: str) -> None:
        pending = self._file(name + ".pending")
        if pending.exists():
            os.truncate(pending, 0)  # Not removed: whoever appends to it has it open.

    def _file(self, name: str) -> Path:
        return self._shadow / name

    def _real(self, suffix: str) -> Path:
        return self._database.with_name(self._database.name + suffix)

    def _get(self, name: str) -> int:
        return struct.unpack_from("=q", self._control, 8 * _FIELDS.index(name))[0]

    def _set(self, name: str, value: int) -> None:
        struct.pack_into("=q", self._control, 8 * _FIELDS.index(name), value)


def _records(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """The pending writes of a file: (offset, bytes); (size, None) where it was cut. A last torn record is left out."""
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while at + _RECORD.size <= len(data):
        offset, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if length < 0:
            yield offset, None
        elif at + length <= len(data):
            yield offset, data[at : at + length]
            at += length


def _tear(path: Path, writes: list[tuple[int, bytes | None]], dice: random.Random) -> None:
    """Half of the sectors that were written, whichever, in whatever order a drive likes."""
    sectors = []
    for offset, data in writes:
        if data is None:
            if dice.random() < 0.5:
                os.truncate(path, offset)
            continue
        sectors += [(offset + at, data[at : at + _SECTOR]) for at in range(0, len(data), _SECTOR)]
    with path.open("r+b") as file:
        for offset, data in dice.sample(sectors, len(sectors) // 2):
            file.seek(offset)
            file.write(data)
