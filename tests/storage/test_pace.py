"""The pace of commits: none waits for nothing, many are shared under a steady load."""

from __future__ import annotations

from random import Random

from csms.storage.pace import APART, FRUITLESS, Pace


def test_first_commit_begins_at_once():
    assert Pace().wait(0.0, 1) == 0.0


def test_commit_after_a_pause_begins_at_once():
    pace = Pace()
    pace.begin(1.0, 1)
    assert pace.wait(1.0 + APART, 1) == 0.0


def test_commit_right_after_another_waits_for_company():
    pace = Pace()
    pace.begin(1.0, 1)
    assert 0.0 < pace.wait(1.0 + APART / 4, 1) <= APART * 3 / 4 + 1e-9


def test_steady_load_goes_on_sharing():
    pace = Pace()
    for turn in range(100):
        now = turn * APART
        pace.begin(now, 3)
        assert pace.wait(now + APART / 3, 1) > 0.0


def test_load_with_gaps_shares_its_commits():
    """400 messages/s at random: one wait in vain is no reason to give waiting up."""
    dice, pace = Random(1), Pace()
    now, waiting, commits, begins = 0.0, 0, 0, None
    for _ in range(10_000):
        now += dice.expovariate(400)
        if begins is not None and begins <= now:
            pace.begin(begins, waiting)
            commits, waiting, begins = commits + 1, 0, None
        waiting += 1
        if begins is None:
            begins = now + pace.wait(now, waiting)
    assert commits < 10_000 * 0.6


def test_who_sends_one_after_the_other_is_hardly_ever_held_up():
    """Each message comes after the answer to the one before: waiting brings nobody."""
    pace, now, held = Pace(), 0.0, 0
    for _ in range(10 * FRUITLESS):
        now += APART / 10
        wait = pace.wait(now, 1)
        held += wait > 0.0
        now += wait
        pace.begin(now, 1)
    assert 1 <= held <= 20
