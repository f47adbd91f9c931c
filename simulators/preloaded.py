"""What the processes of a fleet share: imported once, before they are forked, and left alone by the collector after."""

from __future__ import annotations

import gc
from contextlib import suppress

import simulators.processes  # noqa: F401

with suppress(ImportError):
    import uvloop  # noqa: F401

gc.collect()
gc.freeze()  # Else the first collection writes to every page, and nothing is shared any more.
