"""What was measured becomes a table, its notes and a file."""

import json

import pytest

from benchmarks.measures import Figure, Weight
from benchmarks.report import HEAD, Line, as_json, cells, markdown, plain, ratio

OURS = Figure(messages=20_000, cpu=1.0, wall=2.0, p50=0.004, p99=0.0125, worst=0.2)
BASELINE = Figure(messages=4_000, cpu=1.0, wall=1.0)
WEIGHED = Line("memory", Weight(bare=2_000, booted=2_500), Weight(bare=19_000, booted=21_000))


def test_a_figure_tells_rate_cost_and_load():
    assert OURS.per_cpu_second == 20_000
    assert OURS.cpu_ms == pytest.approx(0.05)
    assert OURS.busy == 0.5


def test_a_figure_of_nothing_divides_by_nothing():
    nothing = Figure(messages=0, cpu=0.0, wall=0.0)
    assert (nothing.per_cpu_second, nothing.cpu_ms, nothing.busy) == (0.0, 0.0, 0.0)


def test_ratio_is_how_many_times_better_we_are():
    assert ratio(Line("Heartbeat", OURS, BASELINE)) == 5.0
    assert ratio(WEIGHED) == 8.4
    assert ratio(Line("Heartbeat", OURS)) is None


def test_a_line_shows_both_servers_the_budget_and_the_latency():
    assert cells(Line("Heartbeat", OURS, BASELINE, budget=6)) == (
        "Heartbeat", "20,000/s (50 µs)", "4,000/s (250 µs)", "5.0 ×", "≥ 6 ×", "4.0 / 12.5 ms"
    )  # fmt: skip


def test_markdown_is_one_table_and_its_notes():
    lines = markdown([Line("Heartbeat", OURS, BASELINE), WEIGHED], ["A note."]).splitlines()
    assert {line.count("|") for line in lines[:4]} == {len(HEAD) + 1}
    assert lines[-1] == "- A note."


def test_columns_of_the_terminal_table_are_aligned():
    head, *rows = plain([Line("Heartbeat", OURS, BASELINE), Line("Boot", OURS)], []).splitlines()[:3]
    assert len({row.index("20,000/s") for row in rows}) == 1
    assert head.index("ours") + len("ours") == rows[0].index("(50 µs)") + len("(50 µs)")


def test_json_keeps_the_numbers_and_what_follows_from_them():
    written = json.loads(json.dumps(as_json([Line("Heartbeat", OURS, BASELINE, budget=6), WEIGHED], {"cores": 2})))
    heartbeat, memory = written["figures"]
    assert written["facts"] == {"cores": 2}
    assert (heartbeat["ratio"], heartbeat["ours"]["per_cpu_second"], heartbeat["ours"]["busy"]) == (5.0, 20_000, 0.5)
    assert (memory["ratio"], memory["baseline"]["booted"]) == (8.4, 21_000)
