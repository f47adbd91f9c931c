"""The figures for people and for machines: a table for the terminal, Markdown for the README, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measures import Figure, Weight


@dataclass(frozen=True)
class Line:
    """One measurement: ours, the baseline's where it takes part, and the budget in words."""

    name: str
    ours: Figure | Weight
    baseline: Figure | Weight | None = None
    budget: float | None = None  # How many times the baseline.


def ratio(line: Line) -> float | None:
    """How many times better than the baseline: messages a CPU-second, or memory."""
    if line.baseline is None:
        return None
    if isinstance(line.ours, Weight):
        return line.baseline.booted / line.ours.booted
    return line.ours.per_cpu_second / line.baseline.per_cpu_second


HEAD = ("", "ours", "baseline", "ratio", "budget", "p50 / p99")


def cells(line: Line) -> tuple[str, ...]:
    times = ratio(line)
    budget = f"≥ {line.budget:g} ×" if line.budget else ""
    ratios = (f"{times:.1f} ×" if times else "", budget)
    if isinstance(line.ours, Weight):
        return (line.name, _weight(line.ours), _weight(line.baseline), *ratios, "")
    latency = f"{1000 * line.ours.p50:.1f} / {1000 * line.ours.p99:.1f} ms" if line.ours.p99 else ""
    return (line.name, _rate(line.ours), _rate(line.baseline), *ratios, latency)


def markdown(lines: Sequence[Line], notes: Sequence[str]) -> str:
    rows = [HEAD, ("---", "--:", "--:", "--:", "--:", "--:"), *map(cells, lines)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return table + "\n\n" + "\n".join(f"- {note}" for note in notes) + "\n"


def plain(lines: Sequence[Line], notes: Sequence[str]) -> str:
    rows = [HEAD, *map(cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    told = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip
    return "\n".join([*told, "", *notes])


def as_json(lines: Sequence[Line], facts: dict[str, Any]) -> dict[str, Any]:
    """Seconds and bytes; `ratio` as in the table."""
    figures = [{**asdict(line), "ratio": ratio(line)} for line in lines]
    for figure, line in zip(figures, lines, strict=True):
        for side in ("ours", "baseline"):
            measured = getattr(line, side)
            if isinstance(measured, Figure):
                figure[side] |= {"per_cpu_second": measured.per_cpu_second, "busy": measured.busy}
    return {"facts": facts, "figures": figures}


def _rate(figure: Figure | None) -> str:
    return f"{figure.per_cpu_second:,.0f}/s ({1000 * figure.cpu_ms:.0f} µs)" if figure else ""


def _weight(weight: Weight | None) -> str:
    return f"{weight.booted / 1000:.1f} KB ({weight.bare / 1000:.1f} bare)" if weight else ""
