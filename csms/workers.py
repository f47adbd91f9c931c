"""Runs one server as several processes of one machine: forks them, restarts those that die, ends them together.

Workers are forked after everything was imported, so that they share its memory. They listen on the same ports
(SO_REUSEPORT); each is a node of its own. Nothing here runs an event loop, opens a database or starts a thread: what is
forked must be simple.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import structlog

from csms.storage.place import StartError

log = structlog.get_logger()

CANNOT_START = 3  # The exit status of a worker that has said why.
_GOOD_RUN = 60.0  # s after which a worker that ends is started again at once.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # s before a worker that died soon is started again; doubled each time.
_PATIENCE = 30.0  # s


@dataclass(frozen=True)
class Worker:
    """What a worker is told by those who forked it."""

    number: int
    folder: Path  # Where workers tell each other how to be reached, one file each.
    lifeline: int  # A descriptor that ends when the supervisor does.
    started: Callable[[], None]  # To be called once it listens.

    def tell(self, control: Path) -> None:
        """Let the others know our control socket."""
        place = self.folder / str(self.number)
        place.with_suffix(".new").write_text(str(control))
        place.with_suffix(".new").replace(place)

    def others(self) -> list[Path]:
        """The control sockets of the other workers; one that has died may still be listed."""
        mine = str(self.number)
        return [Path(each.read_text()) for each in sorted(self.folder.glob("[0-9]*")) if each.name.isdigit() and each.name != mine]  # fmt: skip


@dataclass
class _Place:
    """One worker's place: who holds it now, or when it is filled again."""

    number: int
    pid: int | None = None
    began: float = 0.0
    due: float = 0.0
    pause: float = 0.0
    started: bool = False


@dataclass
class Supervisor:
    """Keeps `count` processes running `work` until a signal ends them all."""

    count: int
    work: Callable[[Worker], None]
    started: Callable[[], None]  # Called once, when all workers listen.
    patience: float = _PATIENCE  # s that workers have to end, once they were told to.
    first_pause: float = _FIRST_PAUSE
    _places: list[_Place] = field(default_factory=list)
    _stopping_since: float | None = None
    _failed: bool = False
    _announced: bool = False

    def run(self) -> int:
        """Until all is over; the exit status."""
        self._lifeline = os.pipe()
        self._news = os.pipe()  # A byte for each worker that listens: its number.
        self._alarm = os.pipe()  # A byte for each signal.
        for descriptor in (*self._alarm, self._news[0]):
            os.set_blocking(descriptor, False)
        self._folder = Path(tempfile.mkdtemp(prefix="csms-workers-"))
        handlers = {number: signal.signal(number, self._on_signal)
                    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)}  # fmt: skip
        old = signal.set_wakeup_fd(self._alarm[1], warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()  # What was imported is never walked over again, and so stays shared.
        try:
            self._places = [_Place(number, pause=self.first_pause) for number in range(1, self.count + 1)]
            while self._look():
                self._rest()
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            for descriptor in (*self._lifeline, *self._news, *self._alarm):
                os.close(descriptor)
            shutil.rmtree(self._folder, ignore_errors=True)
        return 1 if self._failed else 0

    def _look(self) -> bool:
        """Do what is due; whether anything is left to watch."""
        now = monotonic()
        for place in self._places:
            if place.pid is not None:
                self._reap(place, now)
            if place.pid is None and self._stopping_since is None and now >= place.due:
                self._fork(place, now)
        if self._stopping_since is not None and now - self._stopping_since > self.patience:
            self._signal_all(signal.SIGKILL)
        return self._stopping_since is None or any(place.pid is not None for place in self._places)

    def _rest(self) -> None:
        now = monotonic()
        waits = [place.due - now for place in self._places if place.pid is None and self._stopping_since is None]
        if self._stopping_since is not None:
            waits.append(self._stopping_since + self.patience - now + 0.1)
        ready, _, _ = select.select([self._alarm[0], self._news[0]], [], [], max(0.0, min(waits)) if waits else None)
        if self._alarm[0] in ready:
            with contextlib.suppress(BlockingIOError):
                for number in os.read(self._alarm[0], 4096):
                    self._heard(signal.Signals(number))
        if self._news[0] in ready:
            with contextlib.suppress(BlockingIOError):
                for number in os.read(self._news[0], 4096):
                    self._places[number - 1].started = True
        if not self._announced and all(place.started for place in self._places):
            self._announced = True
            self.started()

    @staticmethod
    def _on_signal(_number: int, _frame: object) -> None:
        """The number comes through the pipe."""

    def _heard(self, number: signal.Signals) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
            self._signal_all(number)
        elif number is signal.SIGHUP:
            self._signal_all(number)

    def _stop(self) -> None:
        if self._stopping_since is None:
            self._stopping_since = monotonic()

    def _signal_all(self, number: int) -> None:
        for place in self._places:
            if place.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.pid, number)

    def _fork(self, place: _Place, now: float) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_worker(place.number)
        place.pid, place.began = pid, now

    def _be_worker(self, number: int) -> None:
        """In the child: never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(each, signal.SIG_DFL)
            os.close(self._lifeline[1])  # Else it would hold its own lifeline.
            for descriptor in (*self._alarm, self._news[0]):
                os.close(descriptor)
            news = self._news[1]
            self.work(Worker(number, self._folder, self._lifeline[0], lambda: os.write(news, bytes([number])) and None))
            status = 0
        except StartError as error:
            print(f"Error: {error}", file=sys.stderr, flush=True)
            status = CANNOT_START
        except BaseException:
            log.exception("worker.failed", worker=number)
        finally:
            os._exit(status)

    def _reap(self, place: _Place, now: float) -> None:
        found, status = os.waitpid(place.pid, os.WNOHANG)
        if not found:
            return
        place.pid = None
        code = os.waitstatus_to_exitcode(status)
        if self._stopping_since is not None:
            return
        if code == CANNOT_START and not place.started:
            self._failed = True
            self._stop()
            self._signal_all(signal.SIGTERM)
            return
        if now - place.began > _GOOD_RUN:
            place.pause = self.first_pause
        place.due = now + place.pause
        log.error("worker.died", worker=place.number, status=code, again_in=place.pause)
        place.pause = min(place.pause * 2, _LONGEST_PAUSE)


def in_a_process(work: Callable[[], None]) -> int:
    """Run `work` in a process of its own, which leaves nothing behind in this one; its exit status."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def reserved(host: str, port: int, setting: str) -> socket.socket:
    """A socket that keeps a port for the workers without listening; StartError when another program has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if port:  # A worker's own way to listen would go through beside any other server that shares the port.
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
    except OSError as error:
        raise StartError(
            f"Cannot listen on {host}:{port} ({error.strerror or error}). Choose another {setting}, or stop what uses it."
        ) from None
    return held
