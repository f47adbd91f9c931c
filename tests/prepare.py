"""Brings what the live tests need and Python packages cannot: installs it where it may, else says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NEEDED = {
    "mosquitto": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
    "curl": "curl",
    "haproxy": "haproxy",
    "openssl": "openssl",
}  # program: package, of Debian and Ubuntu
BREWED = {"mosquitto-clients": "mosquitto"}  # Where Homebrew names it otherwise.
WISHED = {
    "cc": ("gcc", "libc6-dev"),
    "ip": ("iproute2",),
}  # Linux: without them some tests are skipped, with the reason.
_SBIN = "/usr/sbin:/usr/local/sbin"


def missing() -> list[str]:
    path = os.environ.get("PATH", "") + ":" + _SBIN
    return [package for program, package in NEEDED.items() if shutil.which(program, path=path) is None]


def wished() -> list[str]:
    """What is worth installing where that is possible, and worth no complaint where it is not."""
    if not sys.platform.startswith("linux"):
        return []
    return [package for program, packages in WISHED.items() if shutil.which(program) is None for package in packages]


def main() -> int:
    packages = missing() + wished()
    if packages and shutil.which("apt-get") and os.geteuid() == 0:
        print(f"Installing {', '.join(packages)} …", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], **quiet)
    elif missing() and shutil.which("brew"):
        brewed = [BREWED.get(package, package) for package in missing()]
        subprocess.run(["brew", "install", "--quiet", *dict.fromkeys(brewed)], check=False)
    packages = missing()
    if packages:
        names = " ".join(packages)
        print(f"The tests need {names}: sudo apt install {names}   or   brew install {names}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
