"""Transport rules 1-6 of OCPP-J: the path, the identity, the credentials, the subprotocol."""

from __future__ import annotations

from typing import Any

import pytest

from csms.ocpp.catalogue import Version
from csms.storage.memory import MemoryRecords
from tests.gateway.wire import Raw, answer_to, basic, handshake

pytestmark = pytest.mark.usefixtures("quick_sweeps")

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-05-04T11:00:00Z"}
ALL = (Version.V16, Version.V201, Version.V21)


@pytest.mark.parametrize(
    "path", ["/ocpp/RDAM%20%7C1", "/ocpp/RDAM%20%7C1/", "/ocpp/default/RDAM%20%7C1", "/ocpp/RDAM%20|1?v=1"]
)
async def test_rule_01_identity_is_the_last_segment_percent_decoded_once(server, path):
    await server.add_station("RDAM |1")
    await Raw.open(server, path)
    assert [station.identity for station in server.gateway.stations.values()] == ["RDAM |1"]


@pytest.mark.parametrize("base", ["/steve/websocket/CentralSystemService", "/a/b"])
async def test_rule_01_base_path_is_a_setting(make_server, base):
    records = MemoryRecords()
    records.add_station("CS-1")
    server = await make_server(records, base=base)
    await Raw.open(server, f"{base}/CS-1")
    assert (await answer_to(server, handshake("/ocpp/CS-1")))[0] == 404


async def test_rule_01_path_never_chooses_the_version(server):
    await server.add_station("ocpp1.6")
    assert (await server.connect("ocpp1.6", version="2.0.1")).socket.subprotocol == "ocpp2.0.1"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/ocpp/" + "x" * 49, 400), ("/ocpp/a%3Ab", 400), ("/ocpp/a%00b", 400), ("/ocpp/%2E%2E", 400), ("/ocpp/%C3", 400)],
)
async def test_rule_02_identity_is_short_printable_and_has_no_colon(server, path, status):
    assert (await answer_to(server, handshake(path)))[0] == status


async def test_rule_02_credentials_name_the_station_of_the_path(server):
    await server.add_station("CS-2", password=b"secret")
    assert (await answer_to(server, handshake("/ocpp/CS-2", "ocpp1.6", basic("CS-1", "secret"))))[0] == 401
    assert (await answer_to(server, handshake("/ocpp/CS-2", "ocpp1.6", basic("cs-2", "secret"))))[0] == 401


async def test_rule_03_unknown_identity_is_404_before_any_upgrade(server):
    status, _, _ = await answer_to(server, handshake("/ocpp/nobody"))
    assert status == 404
    assert server.gateway.connected == 0


async def test_rule_03_self_registration_is_a_choice(make_server):
    records = MemoryRecords()

    async def register(address: Any) -> None:
        records.add_station(address.identity, admission="pending")

    server = await make_server(records, register=register)
    assert (await (await server.connect("NEW")).boot())["status"] == "Pending"


async def test_rule_04_bad_credentials_are_401_before_the_upgrade_and_look_alike(make_server):
    server = await make_server(MemoryRecords(), hide_unknown=True)
    await server.add_station("CS-2", password=b"secret")
    answers = [
        await answer_to(server, handshake(f"/ocpp/{name}", "ocpp1.6", *more))
        for name in ("CS-2", "nobody")
        for more in ([], [basic(name, "wrong")], [basic("x", "y")], ["Authorization: Basic ?"])
    ]
    assert len({(status, *headers.items(), body) for status, headers, body in answers}) == 1
    assert answers[0][0] == 401


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("ocpp1.6", "ocpp1.6"),
        ("ocpp2.0.1, ocpp1.6", "ocpp2.0.1"),
        ("ocpp1.6,ocpp2.0.1", "ocpp1.6"),
        (" ocpp2.1 ,\tocpp2.0.1", "ocpp2.0.1"),
        ("OCPP2.0.1", "OCPP2.0.1"),
        ("ocpp2.0\r\nSec-WebSocket-Protocol: ocpp1.6", "ocpp1.6"),
    ],
)
async def test_rule_05_first_of_the_clients_list_is_answered_exactly_once_as_it_spelled_it(server, offered, chosen):
    reader, _ = await server.raw(handshake("/ocpp/CS-1", offered))
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Protocol")]
    assert lines == [chosen]


async def test_rule_05_dialect_belongs_to_the_connection(server):
    for version in ("1.6", "2.0.1", "1.6"):
        assert (await (await server.connect(version=version)).boot())["status"] == "Accepted"


async def test_rule_05_21_is_spoken_only_where_it_was_chosen(modern, quick):
    assert (await modern.connect(version=["2.1", "2.0.1"])).socket.subprotocol == "ocpp2.1"
    assert (await quick.connect(version=["2.1", "2.0.1"])).socket.subprotocol == "ocpp2.0.1"


@pytest.mark.parametrize("offered", ["ocpp2.0", "ocpp2.1", "mqtt", "ocpp1.6j", "", "ocpp"])
async def test_rule_06_no_common_subprotocol_is_refused_with_what_we_speak(server, offered):
    status, _, body = await answer_to(server, handshake("/ocpp/CS-1", offered))
    assert (status, "ocpp1.6, ocpp2.0.1" in body) == (400, True)


async def test_rule_06_handshake_may_be_finished_without_the_header_and_closed(make_server):
    records = MemoryRecords()
    records.add_station("CS-1")
    server = await make_server(records, finish_unspoken=True)
    reader, _ = await server.raw(handshake("/ocpp/CS-1", "mqtt"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101") and b"Sec-WebSocket-Protocol" not in head
    assert (await reader.read())[2:4] == (1002).to_bytes(2, "big")
    status, _, _ = await answer_to(server, handshake("/ocpp/CS-1", "mqtt").replace(b"websocket", b"other"))
    assert status == 400, "no upgrade at all"


async def test_rule_06_an_unknown_one_before_a_known_one_does_not_matter(server):
    assert (await server.connect(version=["0.1", "1.6"])).socket.subprotocol == "ocpp1.6"


async def test_rule_06_no_header_at_all_is_16_only_where_chosen(make_server, quick):
    bare = b"".join(line for line in handshake().splitlines(keepends=True) if b"Protocol" not in line)
    assert (await answer_to(quick, bare))[0] == 400

    records = MemoryRecords()
    records.add_station("CS-1")
    server = await make_server(records, assume_16=True)
    reader, writer = await server.raw(bare)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101") and b"Sec-WebSocket-Protocol" not in head
    assert (await Raw(reader, writer).ask([2, "1", "Heartbeat", {}]))[0] == 3
    assert (await answer_to(server, handshake("/ocpp/CS-1", "mqtt")))[0] == 400, "a header that names another"
