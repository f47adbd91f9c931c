"""Fuzzes each target for a while, led by coverage: `python -m tests.fuzz --seconds 60 [target …]`.

With `atheris` (Linux) inputs that reach new code are kept in build/fuzz/<target>/corpus and gone on from; without it,
inputs are mutated at random. What breaks a promise is written to build/fuzz/<target>, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

NAMES = ("frames", "websocket", "handshake", "messages")
DIRECTORY = Path("build/fuzz")
MOST_BYTES = 4096


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=NAMES, metavar="target", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")
    guided = find_spec("atheris") is not None
    if options.alone:
        (name,) = options.targets
        return _led_by_coverage(name, options.seconds) if guided else _at_random(name, options.seconds)
    if not guided:
        print("atheris is not installed (pip install '.[fuzz]', Linux only): inputs are mutated at random instead.")
    return max(_alone(name, options.seconds) for name in options.targets)


def _alone(name: str, seconds: int) -> int:
    """In a process of its own: a fuzzer ends with its process, and may end by its memory."""
    print(f"{name}: {seconds} s …", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds), "--alone"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    told = lines if done.returncode else [line for line in lines if "Done " in line or "DONE" in line][-2:]
    print("\n".join(f"  {line}" for line in told[-60:]), flush=True)
    return 1 if done.returncode else 0


def _prepared(name: str) -> tuple[Path, list[bytes]]:
    """The directory of the inputs that are gone on from, and those to begin with."""
    from tests.fuzz.seeds import seeds

    corpus, begun = DIRECTORY / name / "corpus", seeds(name)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(begun):
        (corpus / f"seed-{number}").write_bytes(seed)
    return corpus, begun


def _led_by_coverage(name: str, seconds: int) -> int:
    import atheris

    with atheris.instrument_imports(include=["csms.ocpp", "csms.blocks", "csms.domain", "csms.gateway"]):
        from tests.fuzz.targets import TARGETS
    corpus, _ = _prepared(name)
    arguments = [
        sys.argv[0], str(corpus), f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-timeout=10",
        "-rss_limit_mb=2048", f"-artifact_prefix={DIRECTORY / name}/",
    ]  # fmt: skip
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()  # Ends the process.
    return 0


def _at_random(name: str, seconds: int) -> int:
    from tests.fuzz.targets import TARGETS

    _, begun = _prepared(name)
    dice, target, until, runs = random.Random(), TARGETS[name], time.monotonic() + seconds, 0
    while time.monotonic() < until:
        data = mutated(dice.choice(begun), dice)
        runs += 1
        try:
            target(data)
        except Exception:
            broken = DIRECTORY / name / f"crash-{runs}"
            broken.write_bytes(data)
            print(f"A promise is broken by the bytes in {broken}.")
            raise
    print(f"Done {runs} runs in {seconds} second(s)")
    return 0


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The bytes with a few changed, left out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(len(changed) + 1)
        to = at + dice.randint(0, 6)
        match dice.randrange(3):
            case 0:
                changed[at:to] = dice.randbytes(dice.randint(0, 4))
            case 1:
                changed[at:at] = changed[at : at + dice.randint(1, 60)]
            case _ if at < len(changed):
                changed[at] ^= 1 << dice.randrange(8)
    return bytes(changed[:MOST_BYTES])


if __name__ == "__main__":
    sys.exit(main())
