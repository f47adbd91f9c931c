"""What processes use, as the kernel tells it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_tree_holds_a_process_and_what_it_started():
    from benchmarks import processes

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {os.getpid(), child.pid} <= set(processes.tree(os.getpid()))
        assert processes.tree(child.pid) == [child.pid]
        assert processes.memory([child.pid]) > 1 << 20
        child.communicate()
    assert processes.cpu([child.pid]) == processes.memory([child.pid]) == 0  # It is gone.


def test_cpu_and_memory_of_this_process_are_counted():
    from benchmarks import processes

    assert processes.cpu([os.getpid()]) > 0
    assert processes.kernel().available > processes.kernel().slab > 0
