"""One running server for all cases, stations and tokens for each, and the account of which cases pass."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from csms.trust import authority
from tests import pki
from tests.conformance.cases import V16, V201, case_of
from tests.conformance.operator import Operator
from tests.conformance.station import Station
from tests.journeys.processes import ServerProcess, free_port
from tests.pki import Authority, kept
from tests.responder import Provider, Responder, open_site

ADMIN_KEY = "csms_conformance-tests-only"
REPORT = Path("build/conformance.json")
MakeStation = Callable[..., Awaitable[Station]]

_numbers = itertools.count(1)
_outcomes: dict[str, bool] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.journey)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


class System:
    """A server with a port for each security profile."""

    def __init__(self, folder: Path, contracts: Authority, responder: Responder, provider: Provider):
        self.contracts, self.responder, self.provider = contracts, responder, provider
        self.authority = Authority("Server root")
        self.stations = Authority("Station root")
        rsa, ecdsa = self.authority.server(pki.rsa_key()), self.authority.server(pki.ec_key())
        files = kept(folder, "rsa.pem", rsa), kept(folder, "ecdsa.pem", ecdsa)
        self.root = kept(folder, "root.pem", pki.pem(self.authority.certificate))
        self.ca = folder / "ca"
        authority.create(self.ca, "ACME", datetime.now(UTC))
        trusted = pki.pem(self.stations.certificate) + (self.ca / "stations.crt").read_bytes()
        self.ports = {1: free_port(), 2: free_port(), 3: free_port()}
        self.server = ServerProcess(
            folder, ocpp_port=self.ports[1], ocpp_tls_port=self.ports[2], ocpp_mtls_port=self.ports[3],
            tls_certificates=",".join(map(str, files)),
            contract_roots=kept(folder, "mo.pem", pki.pem(self.contracts.certificate)), outbound_allowed="127.0.0.0/8",
            contract_provider_url=self.provider.url, tls_client_ca=kept(folder, "stations.pem", trusted), ca_folder=self.ca, admin_key=ADMIN_KEY,
        )  # fmt: skip

    def url(self, profile: int = 1) -> str:
        return f"{'ws' if profile == 1 else 'wss'}://127.0.0.1:{self.ports[profile]}/ocpp"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    contracts = Authority("MO root")
    async with open_site(Responder(contracts)) as responder, open_site(Provider()) as provider:
        started = System(tmp_path_factory.mktemp("conformance"), contracts, responder, provider)
        await started.server.start()
        yield started
        await started.server.stop()
    failures = [line for line in started.server.log_lines() if line.get("level") == "error"]
    assert not failures, failures[:3]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operator(system: System) -> AsyncIterator[Operator]:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=system.server.http, headers=headers, timeout=30) as http:
        yield Operator(http)


@pytest_asyncio.fixture(loop_scope="session")
async def make_station(system: System, operator: Operator) -> AsyncIterator[MakeStation]:
    """`await make_station("1.6")`: a station the system knows, connected and booted; `connect=False`: only known."""
    made: list[Station] = []

    async def make(version: str, *, connect: bool = True, boot: bool = True, **fields: Any) -> Station:
        identity = f"TC-{next(_numbers)}"
        password = (await operator.put_station(identity, **fields))["password"]
        station = Station(system.url(), identity, version, password)
        made.append(station)
        if connect:
            await station.connect()
            if boot:
                assert (await station.boot())["status"] == "Accepted"
        return station

    yield make
    for station in made:
        await station.close()


@pytest_asyncio.fixture(loop_scope="session")
async def v16(make_station: MakeStation) -> AsyncIterator[Station]:
    """A 1.6 station, connected and booted; nothing may be asked of it that its case does not expect."""
    station = await make_station("1.6")
    yield station
    assert station.unasked() == []


@pytest_asyncio.fixture(loop_scope="session")
async def v201(make_station: MakeStation) -> AsyncIterator[Station]:
    station = await make_station("2.0.1")
    yield station
    assert station.unasked() == []


@pytest_asyncio.fixture(loop_scope="session")
async def token(operator: Operator) -> str:
    """A token that may charge."""
    value = f"TAG{next(_numbers)}"
    await operator.put_token(value)
    return value


# The account


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    case = case_of(report.location[2].partition("[")[0].rpartition(".")[2])
    if case is not None and (report.when == "call" or report.outcome != "passed"):
        _outcomes[case] = _outcomes.get(case, True) and report.outcome == "passed"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _outcomes:
        return
    passed = {case for case, good in _outcomes.items() if good}
    told = {"1.6": V16, "2.0.1": V201}
    line = " · ".join(f"{version}: {len(passed & set(cases))} of {len(cases)}" for version, cases in told.items())
    terminalreporter.write_line(f"Certification cases passed: {line}")
    REPORT.parent.mkdir(exist_ok=True)
    states = {
        version: {case: _outcome(case) for case in cases} for version, cases in told.items()
    }  # fmt: skip
    REPORT.write_text(json.dumps({"passed": line, "cases": states}, indent=1) + "\n")


def _outcome(case: str) -> str:
    return {True: "passed", False: "failed"}.get(_outcomes.get(case), "not run")
