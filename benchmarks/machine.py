"""Where the figures come from: machine, versions, disk, and how quiet it was."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.stations import BenchmarkError

_PACKAGES = ("websockets", "ocpp", "msgspec", "uvloop", "sqlalchemy")
_IN_MEMORY = ("tmpfs", "ramfs")


def facts(folder: Path) -> dict[str, Any]:
    import sqlite3

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in _PACKAGES},
        "file_system": file_system(folder),
        "sync_ms": round(1000 * _sync_time(folder), 2),
    }


def file_system(folder: Path) -> str:
    """The type of file system `folder` is on; BenchmarkError for one in memory, where nothing is durable."""
    here, found, depth = folder.resolve(), "unknown", -1
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if here.is_relative_to(place) and len(Path(place).parts) > depth:
            found, depth = kind, len(Path(place).parts)
    if found in _IN_MEMORY:
        raise BenchmarkError(f"{folder} is in memory ({found}): choose a folder on a disk with --data")
    return found


def busy_seconds() -> float:
    """CPU seconds of all processes of the machine since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _sync_time(folder: Path) -> float:
    """The median time to append 4 KiB and have it on the disk (s)."""
    times = []
    with (folder / "sync-probe").open("wb") as file:
        for _ in range(51):
            begin = perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append(perf_counter() - begin)
    return sorted(times)[25]
