"""`csms serve` as nobody may run it: with the synchronous pragma of FAULTS_SYNCHRONOUS, to show what FULL is for."""

from __future__ import annotations

import functools
import os

import csms.app
from csms.__main__ import serve

if __name__ == "__main__":
    csms.app.open_database = functools.partial(csms.app.open_database, synchronous=os.environ["FAULTS_SYNCHRONOUS"])
    serve()
