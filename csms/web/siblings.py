"""Asks the other workers of this machine, so that one answer about health and metrics tells of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_PATIENCE = 2.0  # s: a worker that answers later than this counts as ill.


class Siblings:
    """The workers beside this one, reached through their control sockets."""

    def __init__(self, sockets: Callable[[], Collection[Path]]):
        self._sockets = sockets

    async def ask(self, path: str) -> list[httpx.Response]:
        """What those that run answer about themselves; one that has died, and whose socket is closed, is left out.

        One that listens and does not answer in time counts as 503.
        """
        return [each for each in await asyncio.gather(*(_ask(each, path) for each in self._sockets())) if each]


ALONE = Siblings(lambda: ())


async def _ask(control: Path, path: str) -> httpx.Response | None:
    transport = httpx.AsyncHTTPTransport(uds=str(control), verify=False)  # Certificates would be read for nothing.
    try:
        async with httpx.AsyncClient(base_url="http://csms", transport=transport, timeout=_PATIENCE) as http:
            return await http.get(path, params={"own": "true"})
    except httpx.TimeoutException:
        return httpx.Response(503, json={"ready": False, "reason": "a worker does not answer"})
    except httpx.TransportError:
        return None


class _Read(Collector):
    """Families of metrics that were read somewhere, to be written again."""

    def __init__(self, families: Collection[Metric]):
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def summed(texts: Sequence[bytes]) -> bytes:
    """One exposition of many: what has the same name and labels is added up."""
    if len(texts) == 1:
        return texts[0]
    families: dict[str, Metric] = {}
    values: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
    for text in texts:
        for family in text_string_to_metric_families(text.decode()):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                key = (family.name, sample.name, tuple(sample.labels.items()))
                values[key] = values.get(key, 0.0) + sample.value
    for (family, name, labels), value in values.items():
        families[family].add_sample(name, dict(labels), value)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(families.values()))
    return generate_latest(registry)
