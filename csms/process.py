"""What a server asks of the process it runs in: descriptors, memory, signals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any


def raise_descriptors() -> None:
    """A station is a descriptor: take as many as the system grants."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def spare_the_collector() -> None:
    """What a message makes is freed as it is let go: look for cycles seldom, and never among what was made to stay.

    With Python's own thresholds a third of a busy server's time goes into walking over its modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)  # Soon enough that the memory of handshakes, which leave cycles, is used again.


@contextlib.contextmanager
def signals(stop: asyncio.Event) -> Any:
    import signal

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(RuntimeError, ValueError):  # Not the main thread: somebody else stops us.
            loop.add_signal_handler(number, stop.set)
    yield
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(RuntimeError, ValueError):
            loop.remove_signal_handler(number)
