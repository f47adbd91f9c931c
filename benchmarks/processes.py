"""What processes and the kernel use: CPU time and memory of trees of processes, read from /proc (Linux)."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Kernel:
    """Bytes of memory of the whole machine."""

    available: int
    slab: int  # Sockets, files and what else the kernel makes for connections.
    tcp: int  # What is on its way in sockets.


def kernel() -> Kernel:
    sizes = {
        name: int(size) * 1024
        for name, size, *_ in (line.replace(":", "").split() for line in Path("/proc/meminfo").read_text().splitlines())
    }
    tcp = next(line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:"))
    return Kernel(sizes["MemAvailable"], sizes["Slab"], int(tcp.split()[-1]) * _PAGE)


def tree(pid: int) -> list[int]:
    """The process and all that it started, and those started by these."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                children[int(_fields(int(entry))[1])].append(int(entry))
    found = [pid]
    for each in found:
        found += children[each]
    return found


def cpu(pids: list[int]) -> float:
    """CPU seconds so far, user and system, of all threads."""
    spent = 0.0
    for pid in pids:
        with suppress(OSError):
            fields = _fields(pid)
            spent += (int(fields[11]) + int(fields[12])) / _TICKS
    return spent


def memory(pids: list[int]) -> int:
    """Bytes of memory; what several share counts once, in parts."""
    found = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    found += int(line.split()[1]) * 1024
    return found


def _fields(pid: int) -> list[str]:
    """The fields of its state from the third on: the second, a name, may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
