"""Resource `stations`: made, changed, imported, listed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from csms.app import System, now_utc
from csms.domain.stations import Boot, Connector, Station
from csms.domain.unit import Unit
from csms.gateway.admission import Address
from tests.cluster.line import JoinedLine
from tests.conftest import NOW
from tests.web.conftest import add_session, assert_problem, connect

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATIONS = "/api/v1/stations"


async def knows(system: System, identity: str, password: str, operator: str = "default") -> bool:
    known = await system.records.known(operator, identity)
    return system.vault.station_matches(known.password_hash, operator, identity, password.encode())


async def put(api, identity: str = "CS-1", status: int | None = None, **change):
    response = await api.put(f"{STATIONS}/{identity}", json=change)
    assert response.status_code == status or (status is None and response.is_success), response.text
    return response.json()


async def load(api, *lines: str, **params):
    return await api.post(f"{STATIONS}/import", content="\n".join(lines).encode(), params=params)


# Making and changing


async def test_new_station_gets_a_password_that_is_shown_once(system: System, api) -> None:
    made = await put(api, status=201)
    assert len(made["password"]) == 20
    assert made["has_password"] is True
    assert await knows(system, "CS-1", made["password"])
    for later in (await put(api, status=200), (await api.get(f"{STATIONS}/CS-1")).json()):
        assert later["password"] is None
    assert made["password"] not in (await api.get(STATIONS)).text


async def test_password_stays_when_something_else_changes(system: System, api) -> None:
    made = await put(api)
    changed = await put(api, strict=True)
    assert changed["strict"] is True
    assert await knows(system, "CS-1", made["password"])


async def test_given_password_is_kept_and_not_shown(system: System, api) -> None:
    assert (await put(api, password="correct-horse"))["password"] is None
    assert await knows(system, "CS-1", "correct-horse")
    await put(api, password="battery-staple")
    assert await knows(system, "CS-1", "battery-staple")


async def test_null_as_password_asks_for_no_credentials(system: System, api) -> None:
    assert (await put(api, password=None, status=201))["has_password"] is False
    assert (await system.records.known("default", "CS-1")).password_hash is None
    assert (await put(api, strict=True))["has_password"] is False
    assert (await put(api, password="correct-horse"))["has_password"] is True
    assert (await put(api, password=None))["has_password"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"password": "short"}, {"password": "x" * 65}, {"admission": "maybe"}, {"admision": "pending"}, {"strict": 2},
        {"password": 12345678}, {"id": "other"},
    ],
)  # fmt: skip
async def test_wrong_change_changes_nothing(system: System, api, change) -> None:
    assert_problem(await api.put(f"{STATIONS}/CS-1", json=change), 422, "body.")
    assert await system.records.known("default", "CS-1") is None


async def test_connected_station_follows_a_change_at_once(system: System, api) -> None:
    await put(api)
    await connect(system, "CS-1", JoinedLine())
    [hot] = system.gateway.stations.values()
    await put(api, admission="rejected", strict=True)
    assert (hot.admission, hot.strict) == ("rejected", True)
    await put(api, password="correct-horse")
    assert (hot.admission, hot.strict) == ("rejected", True)


@pytest.mark.parametrize(
    "identity", ["x" * 48, "CS 1", "ÄÖ-1", "a@b.c", "_", "%25", "a%3Fb", "a%23b", "RDAM%2F123", "%252F", "a%2fb"]
)
async def test_any_printable_identity_will_do(api, identity) -> None:
    made = await put(api, identity, status=201)
    assert (await api.get(f"{STATIONS}/{identity}")).json()["id"] == made["id"]


@pytest.mark.parametrize("identity", ["x" * 49, "a:b", "a%0Ab", "%E2%80%AE", "%FF", "%20"])
async def test_identity_that_cannot_connect_is_refused(api, identity) -> None:
    assert_problem(await api.put(f"{STATIONS}/{identity}", json={}), 422, "1 to 48 printable characters")


async def test_same_identity_may_belong_to_two_operators(system: System, api) -> None:
    await put(api, password="correct-horse")
    response = await api.put(f"{STATIONS}/CS-1", json={"password": "battery-staple"}, params={"operator": "north"})
    assert (response.status_code, response.json()["operator"]) == (201, "north")
    assert await knows(system, "CS-1", "correct-horse")
    assert await knows(system, "CS-1", "battery-staple", "north")


# Import


async def test_import_makes_and_changes_stations(system: System, api) -> None:
    await put(api, "CS-1", password="correct-horse")
    report = (await load(api, '{"id":"CS-1","password":"battery-staple"}', "", '{"id":"CS-2","password":null}')).json()
    assert report == {"created": 1, "updated": 1, "passwords": {}}
    assert await knows(system, "CS-1", "battery-staple")
    assert (await system.records.known("default", "CS-2")).password_hash is None


async def test_import_shows_generated_passwords_once(system: System, api) -> None:
    report = (await load(api, '{"id":"CS-1","admission":"pending","strict":true,"version":"1.6"}')).json()
    assert await knows(system, "CS-1", report["passwords"]["CS-1"])
    shown = (await api.get(f"{STATIONS}/CS-1")).json()
    assert (shown["admission"], shown["strict"], shown["password"]) == ("pending", True, None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", ()), ("[]", ()), ("{}", ("id",)), ('{"id":"a:b"}', ("48 printable",)), ('{"id":""}', ()), ('{"id":1}', ()),
        ('{"id":"A","colour":"red"}', ("colour",)), ('{"id":"A","admission":"maybe"}', ()), ('{"id":"A","strict":NaN}', ()),
        ('{"id":"' + "x" * 49 + '"}', ()), ('{"id":"a\\u0000"}', ()), ('{"id":"A","password":""}', ("$.password",)),
        ('{"id":"A","password":"' + "x" * 65 + '"}', ("$.password",)), ('{"id":"\\ud800"}', ()), ('{"id":".."}', ()),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)  # fmt: skip
async def test_one_bad_line_keeps_all_out_and_is_named(system: System, api, line: str, words) -> None:
    response = await load(api, '{"id":"GOOD","password":null}', "", line, '{"id":"ALSO"}')
    assert_problem(response, 422, "Line 3", "Nothing was imported", *words)
    assert (await api.get(STATIONS)).json()["items"] == []


async def test_import_that_is_no_text_is_the_clients_error(api) -> None:
    for body in (b"\xff\xfe", b'{"id":"\xff"}'):
        assert_problem(await api.post(f"{STATIONS}/import", content=body), 422, "Line 1")


async def test_too_long_import_is_refused(api, monkeypatch) -> None:
    monkeypatch.setattr("csms.web.stations.MOST_IMPORTED", 2)
    assert_problem(await load(api, "{}", "{}", "{}"), 413, "at most 2")


async def test_empty_import_does_nothing(api) -> None:
    assert (await load(api, "")).json() == {"created": 0, "updated": 0, "passwords": {}}


async def test_imported_change_reaches_a_connected_station(system: System, api) -> None:
    await put(api)
    await connect(system, "CS-1", JoinedLine())
    await load(api, '{"id":"CS-1","password":null,"admission":"rejected"}')
    [hot] = system.gateway.stations.values()
    assert hot.admission == "rejected"


# Showing


async def test_unknown_station_is_404_with_the_way_to_add_it(api) -> None:
    assert_problem(await api.get(f"{STATIONS}/CS-1"), 404, "'CS-1'", "PUT")
    await put(api)
    assert_problem(await api.get(f"{STATIONS}/CS-1", params={"operator": "north"}), 404, "'north'")


async def test_station_is_shown_with_its_connectors(system: System, api) -> None:
    await put(api)
    known = await system.records.known("default", "CS-1")
    unit = Unit(Station(known.id, known.operator_id, "default", "CS-1"), NOW)
    unit.connection = ("2.0.1", NOW)
    unit.connectors.append(Connector(1, 2, "faulted", NOW, detail="Faulted", error_code="GroundFailure"))
    await system.database.writer.commit(unit)
    shown = (await api.get(f"{STATIONS}/CS-1")).json()
    assert (shown["online"], shown["version"], shown["connected_at"]) == (True, "2.0.1", "2026-05-04T12:00:00Z")
    [connector] = shown["connectors"]
    assert (connector["evse_id"], connector["connector_id"], connector["error_code"]) == (1, 2, "GroundFailure")


async def test_listing_is_filtered(api) -> None:
    await load(api, '{"id":"A","password":null}')
    await load(api, '{"id":"B","password":null}', operator="north")

    async def ids(**params):
        return [item["id"] for item in (await api.get(STATIONS, params=params)).json()["items"]]

    assert await ids() == ["A", "B"]
    assert await ids(operator="north") == ["B"]
    assert await ids(online="true") == []
    assert await ids(online="false") == ["A", "B"]


async def test_pages_show_every_station_once_though_some_are_added_meanwhile(api) -> None:
    await load(api, *[f'{{"id":"A{number}","password":null}}' for number in range(5)])
    seen, cursor = [], None
    for turn in range(10):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get(STATIONS, params=params)).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        if turn < 3:
            await put(api, f"B{turn}", password=None)
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["A0", "A1", "A2", "A3", "A4", "B0", "B1", "B2"]


async def test_station_that_registered_itself_is_listed(system: System, api) -> None:
    """`registration=open` writes through the same door."""
    from csms.app import _gateway

    gateway = _gateway(
        system.settings.model_copy(update={"registration": "open"}), system.database, system.records, system.vault,
        system.certificates,
    )  # fmt: skip
    await gateway.register(Address("east", "NEW"))
    shown = (await api.get(f"{STATIONS}/NEW", params={"operator": "east"})).json()
    assert shown["has_password"] is False


async def test_listing_is_narrowed_by_what_stations_said(system: System, api) -> None:
    await load(api, '{"id":"A/1","password":null}', '{"id":"B","password":null,"admission":"pending"}')
    known = await system.records.known("default", "A/1")
    unit = Unit(Station(known.id, known.operator_id, "default", "A/1"), NOW)
    unit.connection, unit.booted = ("1.6", NOW), Boot("Vendor", "Model X", serial="S-77", firmware="1.2")
    unit.registration = "accepted"
    unit.connectors.append(Connector(1, 1, "faulted", NOW))
    await system.database.writer.commit(unit)

    async def ids(**params):
        return [item["id"] for item in (await api.get(STATIONS, params=params)).json()["items"]]

    for found in (
        {"status": "faulted"},
        {"vendor": "Vendor"},
        {"model": "Model X"},
        {"version": "1.6"},
        {"text": "s-7"},
    ):
        assert await ids(**found) == ["A/1"], found
    assert await ids(firmware="1.2", online="true") == ["A/1"]
    assert await ids(admission="pending") == ["B"]
    assert await ids(status="reserved") == await ids(vendor="vendor") == []
    assert await ids(sort="-id") == ["B", "A/1"]


async def changed(system: System, identity: str, *changes: tuple[int, str, int]) -> None:
    """Connectors changed: (EVSE, status, so many minutes from now)."""
    known = await system.records.known("default", identity)
    for evse, status, minutes in changes:
        unit = Unit(Station(known.id, known.operator_id, "default", identity), now_utc() + timedelta(minutes=minutes))
        unit.connectors.append(Connector(evse, 1, status, unit.at))
        await system.database.writer.commit(unit)


async def test_history_of_a_station_is_listed_newest_first_and_narrowed(system: System, api) -> None:
    await load(api, '{"id":"A/1","password":null}', '{"id":"B","password":null}')
    await changed(system, "A/1", (1, "occupied", 1), (2, "faulted", 2), (1, "available", 3))
    await changed(system, "B", (1, "reserved", 4))

    async def listed(**params) -> list[tuple[int, str]]:
        found = (await api.get(f"{STATIONS}/A%2F1/status-history", params=params)).json()
        return [(item["evse_id"], item["status"]) for item in found["items"]]

    assert await listed() == [(1, "available"), (2, "faulted"), (1, "occupied")]
    assert await listed(evse_id=1) == [(1, "available"), (1, "occupied")]
    assert await listed(status="faulted", connector_id=1) == [(2, "faulted")]
    since = (now_utc() + timedelta(seconds=90)).isoformat()
    assert await listed(since=since) == [(1, "available"), (2, "faulted")]
    assert await listed(until=since, limit=1) == [(1, "occupied")], "what held when the period began"
    assert_problem(await api.get(f"{STATIONS}/A%2F1/status-history", params={"status": "broken"}), 422)
    assert_problem(await api.get(f"{STATIONS}/C/status-history"), 404)


async def test_history_of_a_station_that_was_forgotten_is_not_the_next_ones(system: System, api) -> None:
    """The embedded database gives its number to the next one."""
    await put(api, "OLD")
    await changed(system, "OLD", (1, "faulted", -1))
    await api.delete(f"{STATIONS}/OLD")
    await put(api, "NEW")
    assert (await api.get(f"{STATIONS}/NEW/status-history")).json()["items"] == []


async def test_station_is_forgotten_unless_it_was_used(system: System, api) -> None:
    await put(api, "A%2FB")
    assert (await api.delete(f"{STATIONS}/A%2FB")).status_code == 204
    assert_problem(await api.get(f"{STATIONS}/A%2FB"), 404, "A/B")
    await add_session(system, 1)
    assert_problem(await api.delete(f"{STATIONS}/CS-1"), 409, "sessions")
    await system.database.writer.run(lambda c: c.exec_driver_sql("UPDATE stations SET connected_at = 1") and None)
    assert_problem(await api.delete(f"{STATIONS}/CS-1"), 409, "connected")


async def test_null_takes_a_setting_back_where_it_may_be_none(api) -> None:
    await api.put("/api/v1/stations/CS-N", json={"security_profile": 2, "current": "DC", "max_power_w": 50_000})
    told = (await api.put("/api/v1/stations/CS-N", json={"security_profile": None, "current": None})).json()
    assert (told["security_profile"], told["current"], told["max_power_w"]) == (None, None, 50_000)
    for name in ("strict", "admission"):
        assert_problem(await api.put("/api/v1/stations/CS-N", json={name: None}), 422, name)
