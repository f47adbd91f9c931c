"""A network namespace over a veth pair, with a way for each neighbour that can be cut silently in either direction."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PREFIX = "csms-"
_NOBODY = "02:00:00:00:00:99"  # What is sent there is lost, and nobody is told.
_FAR = 10  # From the number of a way's end on the host to that in the namespace.
WAYS = {"database": 1, "broker": 2, "balancer": 3}


class Namespace:
    """Named by the process that made it, so that what a killed run left is known."""

    def __init__(self) -> None:
        number = os.getpid()
        self.name = f"{_PREFIX}{number}"
        self._device = f"cs{number}"
        self._net = f"10.{100 + (number >> 8) % 100}.{number % 256}"

    def start(self) -> None:
        """OSError or CalledProcessError where it is not permitted."""
        for line in _ip("netns", "list").splitlines():
            name = line.split()[0]
            owner = name.removeprefix(_PREFIX)
            if name.startswith(_PREFIX) and owner.isdigit() and not Path(f"/proc/{owner}").exists():
                _ip("netns", "del", name)  # Its veth pair goes with it.
        _ip("netns", "add", self.name)
        _ip("link", "add", self._device, "type", "veth", "peer", "name", "veth", "netns", self.name)
        for there, device in (("", self._device), (self.name, "veth")):
            _ip("link", "set", device, "up", there=there)
            for way in WAYS:
                _ip("addr", "add", f"{self._end(way, there)}/32", "dev", device, there=there)
            for way in WAYS:
                other = self._end(way, "" if there else self.name)
                _ip("route", "add", other, "dev", device, "src", self._end(way, there), there=there)
        _ip("link", "set", "lo", "up", there=self.name)

    def stop(self) -> None:
        for arguments in (("link", "del", self._device), ("netns", "del", self.name)):
            subprocess.run(["ip", *arguments], capture_output=True, check=False)

    def near(self, way: str) -> str:
        """The address on the host."""
        return self._end(way, "")

    def far(self, way: str) -> str:
        """The address in the namespace."""
        return self._end(way, self.name)

    def cut(self, way: str, *, out: bool = True, back: bool = True) -> None:
        """`out`: what leaves the namespace is lost; `back`: what comes to it."""
        for there, device, end in self._directions(way, out, back):
            _ip("neigh", "replace", end, "lladdr", _NOBODY, "nud", "permanent", "dev", device, there=there)

    def mend(self, way: str, *, out: bool = True, back: bool = True) -> None:
        for there, device, end in self._directions(way, out, back):
            _ip("neigh", "del", end, "dev", device, there=there)

    def _directions(self, way: str, out: bool, back: bool) -> list[tuple[str, str, str]]:
        leaving = [(self.name, "veth", self.near(way))] if out else []
        return leaving + ([("", self._device, self.far(way))] if back else [])

    def _end(self, way: str, there: str) -> str:
        return f"{self._net}.{WAYS[way] + (_FAR if there else 0)}"


def _ip(*arguments: str, there: str = "") -> str:
    inside = ["-n", there] if there else []
    return subprocess.run(["ip", *inside, *arguments], capture_output=True, check=True, text=True).stdout
