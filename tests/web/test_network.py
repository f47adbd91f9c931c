"""Resource `network`: a whole network taken in, and what it adds up to."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from simulators.network import Totals, lines, read_country
from tests.conftest import NOW
from tests.web.conftest import add_session, assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

IMPORT, SUMMARY = "/api/v1/network/import", "/api/v1/network/summary"
CITY = {"kind": "city", "code": "C1", "name": "Ulm", "latitude": 48.4, "longitude": 10.0}
AREA = {"kind": "service_area", "code": "S1", "name": "A 7", "latitude": 48.5, "longitude": 10.1}
PLACE = {"kind": "location", "operator": "one", "code": "L1", "name": "Yard", "latitude": 48.4, "longitude": 10.0}
STATION = {"kind": "station", "operator": "one", "id": "CS-1", "password": None, "location": "L1"}


@pytest.fixture(autouse=True)
def nothing_counted_yet(system):
    if hasattr(system.api.state, "summaries"):
        del system.api.state.summaries


def body(*lines: dict) -> bytes:
    return b"\n".join(map(msgspec.json.encode, lines))


async def test_summary_equals_the_generators_totals(api) -> None:
    totals, network = Totals(), list(lines(read_country(), 0.0005))
    for line in network:
        totals.add(line)
    for _ in range(2):  # Again changes nothing.
        taken = await api.post(IMPORT, content=b"\n".join(map(msgspec.json.encode, network)))
        assert taken.status_code == 200, taken.text
    assert taken.json() == {"created": 0, "updated": 510}
    told = (await api.get(SUMMARY)).json()
    claimed = totals.plain()
    assert {name: told[name] for name in claimed if name != "by_operator"} == {
        name: value for name, value in claimed.items() if name != "by_operator"
    }
    assert {
        name: {key: counts[key] for key in claimed["by_operator"][name]} for name, counts in told["by_operator"].items()
    } == claimed["by_operator"]
    assert (told["online"], told["charging"]) == (0, 0)


async def test_stations_of_a_network_stand_where_it_says_and_have_their_password(system, api) -> None:
    await api.post(IMPORT, content=body(CITY, PLACE | {"city": "C1"}, STATION | {"password": "only for a test"}))
    station = (await api.get("/api/v1/stations/CS-1", params={"operator": "one"})).json()
    assert station["location"] == "L1"
    assert station["has_password"] is True
    place = (await api.get("/api/v1/locations/L1", params={"operator": "one"})).json()
    assert (place["city"], place["kind"]) == ("Ulm", "city")


async def test_summary_counts_what_goes_on(system, api) -> None:
    await add_session(system, 1)
    await add_session(system, 2, ended_at=NOW + timedelta(minutes=1))
    await api.post(IMPORT, content=body(STATION | {"location": None, "connectors": 2, "current": "DC"}))
    told = (await api.get(SUMMARY)).json()
    assert told["by_operator"]["default"]["charging"] == told["charging"] == 1
    assert told["by_operator"]["one"] == {"stations": 1, "dc_stations": 1, "connectors": 2, "online": 0, "charging": 0}


async def test_place_without_stations_is_not_covered(api) -> None:
    await api.post(IMPORT, content=body(CITY, AREA, PLACE | {"service_area": "S1"}))
    told = (await api.get(SUMMARY)).json()
    assert (told["service_areas"], told["service_areas_covered"], told["service_area_share"]) == (1, 0, 0.0)
    assert (told["cities"], told["cities_covered"]) == (1, 0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "Line 2"),
        (b'{"kind": "tram"}', "Line 2"),
        (body(STATION | {"id": "a:b"}), "Line 2"),
        (body(STATION | {"location": "nowhere"}), "'nowhere'"),
        (body({key: value for key, value in STATION.items() if key != "password"}), "password"),
        (body(PLACE | {"latitude": 1000}), "Line 2"),
        (b"[" * 50_000, "Line 2"),
    ],
)
async def test_bad_line_is_told_and_nothing_of_the_request_is_taken(api, line, says) -> None:
    assert_problem(await api.post(IMPORT, content=body(CITY) + b"\n" + line), 422, says, "othing was imported")
    assert (await api.get(SUMMARY)).json()["cities"] == 0


async def test_too_many_lines_are_refused(api) -> None:
    assert_problem(await api.post(IMPORT, content=b"{}\n" * 5_001), 413, "5000")
