"""What is too much, told the time: nothing here waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.gateway.limits import Contests, Door, Flapping, Guesses, Limits, Meter, Origin, Origins, room

HERE, THERE = Origin("198.51.100.1", "single"), Origin("203.0.113.9", "single")
PROXY, SELF = Origin("10.0.0.1", "shared"), Origin("127.0.0.1", "exempt")


class TestMeter:
    def test_a_burst_then_the_rate(self):
        meter = Meter(rate=2.0, burst=3)
        for _ in range(3):
            assert meter.wait("a", 100.0) == 0.0
            meter.take("a", 100.0)
        assert meter.wait("a", 100.0) == pytest.approx(0.5)
        assert meter.wait("a", 100.5) == pytest.approx(0.0)
        assert meter.wait("b", 100.0) == 0.0

    def test_rest_fills_it_no_further_than_the_burst(self):
        meter = Meter(rate=1.0, burst=2)
        meter.take("a", 0.0)
        for _ in range(2):
            assert meter.wait("a", 1000.0) == 0.0
            meter.take("a", 1000.0)
        assert meter.wait("a", 1000.0) > 0

    def test_rate_0_is_no_limit_and_keeps_nothing(self):
        meter = Meter(rate=0.0)
        for _ in range(100):
            meter.take("a", 0.0)
        assert meter.wait("a", 0.0) == 0.0
        assert len(meter) == 0

    def test_the_longest_unseen_is_forgotten_first(self):
        meter = Meter(rate=0.001, most=2)
        for key in ("a", "b", "a", "c"):
            meter.take(key, 0.0)
        assert len(meter) == 2
        assert (bool(meter.wait("a", 0.0)), bool(meter.wait("b", 0.0))) == (True, False)

    @given(st.lists(st.floats(0.0, 5.0), max_size=200), st.floats(0.5, 20.0), st.integers(1, 10))
    def test_never_more_than_burst_and_rate_allow(self, gaps, rate, burst):
        meter, now, taken = Meter(rate, burst), 0.0, []
        for gap in gaps:
            now += gap
            if not meter.wait("a", now):
                meter.take("a", now)
                taken.append(now)
        for first, start in enumerate(taken):
            for last in range(first, len(taken)):
                assert last - first + 1 <= burst + (taken[last] - start) * rate + 1e-6


class TestFlapping:
    def test_N9_second_after_second_is_fine_and_five_a_second_is_not(self):
        calm, wild = Flapping(60), Flapping(60)
        for tick in range(50):
            assert calm.wait("a", float(tick)) == 0.0
            calm.connected("a", float(tick))
        admitted = 0
        for tick in range(50):
            if not wild.wait("a", tick / 5):
                wild.connected("a", tick / 5)
                admitted += 1
        assert admitted < 10

    def test_N9_more_than_60_an_hour_has_to_wait(self):
        flapping, now, admitted = Flapping(60), 0.0, 0
        while now < 3600.0:
            if not flapping.wait("a", now):
                flapping.connected("a", now)
                admitted += 1
            now += 10.0
        assert 60 <= admitted <= 120

    def test_N9_each_wait_is_longer_and_ends(self):
        flapping, now, waits = Flapping(60), 0.0, []
        for _ in range(4):
            while not (wait := flapping.wait("a", now)):
                flapping.connected("a", now)
            waits.append(wait)
            assert flapping.wait("a", now + wait / 2) == pytest.approx(wait / 2), "asking again changes nothing"
            now += wait
        assert waits == [5.0, 10.0, 20.0, 40.0]
        assert flapping.wait("a", now + 4000.0) == 0.0
        while not (wait := flapping.wait("a", now + 4000.0)):
            flapping.connected("a", now + 4000.0)
        assert wait == 5.0, "forgiven"

    def test_N9_neighbours_are_not_concerned(self):
        flapping = Flapping(60)
        while not flapping.wait("a", 0.0):
            flapping.connected("a", 0.0)
        assert flapping.wait("b", 0.0) == 0.0

    def test_0_is_no_limit(self):
        flapping = Flapping(0)
        for _ in range(1000):
            flapping.connected("a", 0.0)
        assert flapping.wait("a", 0.0) == 0.0


class TestGuesses:
    def test_S2_ten_a_minute_of_a_station_and_of_an_address(self):
        guesses = Guesses(10)
        for number in range(10):
            assert guesses.wait(number, HERE, 0.0) == 0.0
            guesses.failed(number, HERE, 0.0)
        assert guesses.wait("another", HERE, 0.0) == pytest.approx(6.0)
        assert guesses.wait(1, THERE, 0.0) == 0.0
        assert guesses.wait("another", HERE, 60.0) == 0.0

    def test_S2_behind_a_proxy_each_station_is_counted_by_itself(self):
        guesses = Guesses(2)
        for _ in range(2):
            guesses.failed("a", PROXY, 0.0)
        assert guesses.wait("a", PROXY, 0.0) > 0
        assert guesses.wait("b", PROXY, 0.0) == 0.0

    def test_S2_the_genuine_station_is_never_locked_out_of_its_usual_place(self):
        guesses = Guesses(2)
        guesses.succeeded("a", HERE)
        for _ in range(100):
            guesses.failed("a", HERE, 0.0)
            guesses.failed("a", THERE, 0.0)
        assert guesses.wait("a", HERE, 0.0) == 0.0
        assert guesses.wait("a", THERE, 0.0) > 0

    def test_exempt_addresses_and_0_are_no_limit(self):
        exempt, unlimited = Guesses(1), Guesses(0)
        for _ in range(100):
            exempt.failed("a", SELF, 0.0)
            exempt.succeeded("a", SELF)
            unlimited.failed("a", HERE, 0.0)
        assert exempt.wait("a", SELF, 0.0) == unlimited.wait("a", HERE, 0.0) == 0.0

    def test_what_is_kept_is_bounded(self):
        guesses = Guesses(10, most=100)
        for number in range(1000):
            guesses.failed(number, Origin(str(number), "single"), 0.0)
            guesses.succeeded(number, Origin(str(number), "single"))
        assert max(len(guesses._by_address), len(guesses._by_station), len(guesses._usual)) == 100


class TestContests:
    def test_N11_the_fourth_swap_within_a_minute_is_one_too_many(self):
        contests = Contests()
        assert [contests.swapped("a", now) for now in (0.0, 1.0, 2.0, 3.0)] == [False, False, False, True]
        assert contests.swapped("a", 59.0)
        assert not contests.swapped("a", 200.0)

    def test_N11_swaps_now_and_then_are_a_station_with_two_modems(self):
        contests = Contests()
        assert not any(contests.swapped("a", number * 20.0) for number in range(100))

    def test_what_is_kept_is_bounded(self):
        contests = Contests(most=10)
        for number in range(100):
            contests.swapped(number, 0.0)
        assert len(contests._swaps) == 10


class TestOrigins:
    @pytest.mark.parametrize(
        ("address", "origin"),
        [
            ("198.51.100.1", ("198.51.100.1", "single")),
            ("127.0.0.1", ("127.0.0.1", "exempt")),
            ("127.8.9.10", ("127.8.9.10", "exempt")),
            ("::1", ("::1", "exempt")),
            ("::ffff:127.0.0.1", ("127.0.0.1", "exempt")),
            ("::ffff:198.51.100.1", ("198.51.100.1", "single")),
            ("2001:db8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "single")),
            ("fe80::1%eth0", ("fe80::/64", "single")),
            ("10.1.2.3", ("10.1.2.3", "shared")),
            ("127.0.0.9", ("127.0.0.9", "shared")),
            (None, ("", "exempt")),
            ("", ("", "exempt")),
        ],
    )
    def test_where_a_connection_comes_from(self, address, origin):
        assert Origins(["127.0.0.0/8", "::1/128"], ["10.0.0.0/8", "127.0.0.9"]).of(address) == origin


class TestDoor:
    def test_N3_handshakes_under_way_are_counted_by_address(self):
        door = Door(Limits(handshakes_address=2))
        assert [door.arrived(HERE) for _ in range(3)] == [True, True, False]
        assert door.arrived(THERE) and door.arrived(PROXY) and all(door.arrived(PROXY) for _ in range(10))
        door.left(HERE)
        door.left(HERE)
        assert door.arrived(HERE)

    def test_nothing_is_kept_of_addresses_that_left(self):
        door = Door(Limits(handshakes_address=2))
        for number in range(100):
            origin = Origin(str(number), "single")
            door.arrived(origin)
            door.left(origin)
        assert door._under_way == {}

    def test_N8_everybody_together_and_each_address(self):
        door = Door(Limits(connects=10.0, connects_address=1.0))
        assert sum(not door.wait(HERE, 0.0) for _ in range(100)) == 5
        assert sum(not door.wait(THERE, 0.0) for _ in range(100)) == 5
        assert sum(not door.wait(PROXY, 0.0) for _ in range(100)) == 40
        assert door.wait(PROXY, 0.0) == pytest.approx(0.1)
        assert not any(door.wait(SELF, 0.0) for _ in range(100))

    def test_N8_those_sent_away_are_told_to_come_back_spread_out(self):
        early, late = Door(Limits(), lambda: 0.0), Door(Limits(), lambda: 0.999)
        assert (early.retry_after(0.1), late.retry_after(0.1)) == (1, 11)
        assert (early.retry_after(40.0), late.retry_after(40.0)) == (40, 80)


@pytest.mark.parametrize(
    ("most", "in_use", "left"), [(1024, 20, 940), (20_000, 20, 18_980), (1_048_576, 20, 1_047_532), (50, 20, 1)]
)
def test_N13_some_descriptors_are_kept_for_files_and_operators(most, in_use, left):
    assert room(most, in_use) == left
