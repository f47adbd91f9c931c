"""Resource `locations`: where stations stand."""

from __future__ import annotations

import json

import pytest

from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOCATIONS = "/api/v1/locations"
PLACE = {
    "name": "Brokenlande West", "address": "A 7, km 42", "city": "Großenaspe", "postal_code": "24623", "country": "DE",
    "latitude": 53.9721, "longitude": 9.9316, "kind": "highway", "service_area": "A7-042-W",
}  # fmt: skip


async def ids(api, **params) -> list[str]:
    response = await api.get(LOCATIONS, params=params)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


async def test_location_is_made_then_replaced_under_an_id_of_the_operators_own(api) -> None:
    made = await api.put(f"{LOCATIONS}/A7%2F042%20W", json=PLACE)
    assert made.status_code == 201
    assert made.json().items() >= (PLACE | {"id": "A7/042 W", "operator": "default"}).items()
    replaced = await api.put(f"{LOCATIONS}/A7%2F042%20W", json={"name": "Depot"})
    assert (replaced.status_code, replaced.json()["city"], replaced.json()["kind"]) == (200, None, "other")
    assert replaced.json()["created_at"] == made.json()["created_at"]


@pytest.mark.parametrize(
    "change",
    [
        {}, {"name": ""}, {"name": "X", "latitude": 91, "longitude": 0}, {"name": "X", "latitude": 1},
        {"name": "X", "kind": "moon"}, {"name": "X", "country": "Germany"}, {"name": "a\0b"}, {"name": "X", "colour": 1},
        {"name": "X", "latitude": "NaN", "longitude": 0},
    ],
)  # fmt: skip
async def test_what_is_no_place_is_refused(api, change) -> None:
    assert_problem(await api.put(f"{LOCATIONS}/A", json=change), 422, "body")
    assert await ids(api) == []


async def test_locations_are_found_by_what_and_where_they_are(api) -> None:
    await api.put(f"{LOCATIONS}/A", json=PLACE)
    await api.put(f"{LOCATIONS}/B", json={"name": "Fiji", "kind": "city", "latitude": -17.7, "longitude": 178.0})
    await api.put(f"{LOCATIONS}/C", json={"name": "Nowhere"}, params={"operator": "north"})
    assert await ids(api, sort="-id") == ["C", "B", "A"]
    assert await ids(api, kind="highway") == await ids(api, service_area="A7-042-W") == ["A"]
    assert await ids(api, text="brokenlande") == await ids(api, city="Großenaspe") == ["A"]
    assert await ids(api, box="47,5,56,16") == ["A"]
    assert await ids(api, box="-90,170,90,-170") == ["B"]  # Over the date line.
    assert await ids(api, operator="north") == ["C"]
    for box in ("", "1,2,3", "x,1,2,3", "nan,1,2,3", "10,0,5,0", "0,0,0,181", "0,-inf,0,0"):
        assert_problem(await api.get(LOCATIONS, params={"box": box}), 422, "box")


async def test_stations_belong_to_a_location_of_their_operator(api) -> None:
    await api.put(f"{LOCATIONS}/A", json=PLACE)
    await api.put(f"{LOCATIONS}/N", json=PLACE, params={"operator": "north"})
    made = await api.put("/api/v1/stations/CS-1", json={"location": "A"})
    assert made.json()["location"] == "A"
    await api.put("/api/v1/stations/CS-2", json={})
    listed = (await api.get("/api/v1/stations", params={"location": "A"})).json()["items"]
    assert [item["id"] for item in listed] == ["CS-1"]
    for foreign in ("N", "Z"):
        assert_problem(await api.put("/api/v1/stations/CS-1", json={"location": foreign}), 422, repr(foreign), "PUT")
    assert_problem(await api.delete(f"{LOCATIONS}/A"), 409, "1 stations")
    assert (await api.put("/api/v1/stations/CS-1", json={"strict": True})).json()["location"] == "A"
    assert (await api.put("/api/v1/stations/CS-1", json={"location": None})).json()["location"] is None
    assert (await api.delete(f"{LOCATIONS}/A")).status_code == 204
    assert_problem(await api.get(f"{LOCATIONS}/A"), 404, "'A'")


async def test_many_are_imported_or_none(api) -> None:
    lines = [json.dumps(PLACE | {"id": f"L{number}"}) for number in range(3)]
    report = await api.post(f"{LOCATIONS}/import", content="\n".join(lines))
    assert report.json() == {"created": 3, "updated": 0}
    for bad in ('{"id":"X"}', '{"name":"X"}', "{", "[]", '{"id":" ","name":"X"}', '{"id":"X","name":1}'):
        answer = await api.post(f"{LOCATIONS}/import", content=f"{lines[0]}\n{bad}")
        assert_problem(answer, 422, "Line 2", "Nothing was imported")
    assert await ids(api, sort="name") == ["L0", "L1", "L2"]
