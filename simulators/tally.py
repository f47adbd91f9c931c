"""What a fleet counts: calls, answers, refusals, and how long answers took."""

from __future__ import annotations

from collections import Counter

from simulators.histogram import Histogram


class Tally:
    """Numbers of one run, shared by its stations."""

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        self.commands = 0  # Calls of the server that the stations answered.
        self.unanswered = 0  # Calls of ours that expired or lost their connection.
        self.errors: Counter[str] = Counter()  # CALLERRORs received, by code.
        self.refused: Counter[str] = Counter()  # Handshakes refused, by HTTP status or reason.
        self.owed = 0  # Letters in the mailboxes of all stations.
        self.reconnects = 0
        self.connected = 0
        self.peak = 0
        self.ever_connected = 0
        self.last_refusal: Exception | None = None
        self.latencies = Histogram()

    def took(self, seconds: float) -> None:
        self.answered += 1
        self.latencies.add(seconds)

    def connection(self, change: int) -> None:
        self.connected += change
        self.peak = max(self.peak, self.connected)

    def latency_ms(self, *quantiles: float) -> list[float | None]:
        """The latency below which that share of the answers came, in milliseconds."""
        known = self.latencies.total > 0
        return [round(self.latencies.quantile(share) * 1000, 2) if known else None for share in quantiles]
