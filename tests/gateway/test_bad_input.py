"""Bad input (I1-I7): each trap has its stated outcome, the socket stays usable where it should, nobody else waits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.frames import Opcode

from csms.ocpp.peer import Answered, Pending
from tests.conftest import NOW, Client, Server
from tests.gateway.wire import Raw, framed

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-05-04T11:00:00Z"}
DEEP = 100_000
DIGITS = "9" * 5_000


def call(payload: str, action: str = "DataTransfer") -> bytes:
    return f'[2,"t","{action}",{payload}]'.encode()


def data(value: str) -> bytes:
    """A vendor's message around a trap."""
    return call(f'{{"vendorId":"V","data":{value}}}')


def status(field: str, value: str) -> bytes:
    return call(json.dumps(STATUS)[:-1] + f',"{field}":{value}}}', "StatusNotification")


ERROR, ANSWERED = "error", "answered"  # A CALLERROR; a CALLRESULT or a CALLERROR of this version.
MINUS_ONE = "-1"  # A CALLERROR to nobody: the id could not be read.

TRAPS = [
    ("depth of arrays", b"[" * DEEP, MINUS_ONE),
    ("depth of objects", b'{"a":' * 50_000, MINUS_ONE),
    ("depth that is closed again", b"[" * DEEP + b"]" * DEEP, MINUS_ONE),
    ("depth in a payload", data("[" * 50_000 + "]" * 50_000), ERROR),
    ("depth in an unknown property", status("x", "[" * 50_000 + "]" * 50_000), ERROR),
    ("depth of objects in a payload", data('{"a":' * 20_000 + "1" + "}" * 20_000), ERROR),
    ("depth of 1,000 in a payload", data("[" * 1_000 + "]" * 1_000), ERROR),
    ("depth as the message type", b"[" + b"[" * 50_000 + b"]" * 50_000 + b',"t","Heartbeat",{}]', ERROR),
    ("depth as the id", b"[2," + b"[" * 50_000 + b"]" * 50_000 + b',"Heartbeat",{}]', MINUS_ONE),
    ("5,000 digits", status("connectorId", DIGITS), ANSWERED),
    ("5,000 digits as the type", f'[{DIGITS},"t","Heartbeat",{{}}]'.encode(), ANSWERED),
    ("5,000 digits after the point", status("connectorId", "1." + DIGITS), ANSWERED),
    ("5,000 digits in a vendor's data", data(DIGITS), ANSWERED),
    ("NaN", status("connectorId", "NaN"), ERROR),
    ("NaN in a payload", call("NaN", "Heartbeat"), MINUS_ONE),
    ("Infinity", status("connectorId", "Infinity"), ERROR),
    ("-Infinity", status("connectorId", "-Infinity"), ERROR),
    ("1e999", status("connectorId", "1e999"), ERROR),
    ("-1e999", status("connectorId", "-1e999"), ERROR),
    ("a lone surrogate", status("info", r'"\ud800"'), ANSWERED),
    ("a lone surrogate as id", rb'[2,"\ud800","Heartbeat",{}]', MINUS_ONE),
    ("a lone surrogate as action", rb'[2,"t","\udfff",{}]', ERROR),
    ("NUL in a text", status("info", r'"a\u0000b"'), ANSWERED),
    ("NUL as the action", b'[2,"t","\\u0000",{}]', ERROR),
    ("NUL between tokens", b'[2,\0"t","Heartbeat",{}]', MINUS_ONE),
    ("a raw control character in a text", b'[2,"t","Heart\nbeat",{}]', MINUS_ONE),
    ("a byte order mark", b"\xef\xbb\xbf" + call("{}", "Heartbeat"), MINUS_ONE),
    ("two messages in one", call("{}", "Heartbeat") * 2, MINUS_ONE),
    ("a bad escape", b'[2,"t","Heart\\xbeat",{}]', MINUS_ONE),
    ("an open text", b'[2,"t', MINUS_ONE),
    ("a comment", b'[2,"t","Heartbeat",{}/**/]', MINUS_ONE),
    ("a comma too many", b'[2,"t","Heartbeat",{},]', MINUS_ONE),
    ("an empty message", b"", MINUS_ONE),
    ("spaces", b"  ", MINUS_ONE),
    ("a number", b"7", MINUS_ONE),
    ("null", b"null", MINUS_ONE),
    ("100,000 elements", b"[" + b"2," * 100_000 + b"2]", ANSWERED),
    ("10,000 properties", call("{" + ",".join(f'"p{n}":1' for n in range(10_000)) + "}", "Heartbeat"), ANSWERED),
    ("year 222222017", status("timestamp", '"222222017-01-01T00:00:00Z"'), ANSWERED),
    ("year 0", status("timestamp", '"0000-01-01T00:00:00Z"'), ANSWERED),
    ("a prototype", status("__proto__", '{"polluted":true}'), ANSWERED),
]


async def usable(client: Client) -> None:
    assert "currentTime" in await client.call("Heartbeat")


async def answer_of(client: Client, frame: bytes) -> Any:
    await client.socket.send(frame.decode())
    return await client.receive()


@pytest.mark.parametrize(("name", "frame", "outcome"), TRAPS, ids=[name for name, _, _ in TRAPS])
async def test_I2_trap_has_its_outcome_and_the_socket_stays_usable(quick: Server, name, frame, outcome):
    client = await quick.connect()
    with capture_logs() as logs:
        answer = await answer_of(client, frame)
    if outcome == MINUS_ONE:
        assert answer[:2] == [4, "-1"], name
    else:
        assert answer[0] in (3, 4) and answer[1] in ("t", "-1"), name
        assert answer[0] == 4 or outcome == ANSWERED, name
    assert not [line for line in logs if line["log_level"] == "error"]
    assert all(len(str(value)) < 20_000 for line in logs for value in line.values()), "logs are for reading"
    await usable(client)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (framed(b'[2,"t","Heartbeat",{}]', Opcode.BINARY), 1003),
        (framed(b"", Opcode.BINARY), 1003),
        (framed(b"\xed\xa0\x80"), 1007),
        (framed(b"\xc0\x80"), 1007),
        (framed(b"\xff"), 1007),
        (framed(b'[2,"t","Heartbeat",{}]'.decode().encode("utf-16")), 1007),
        (framed(b"x" * ((256 << 10) + 1)), 1009),
    ],
    ids=["binary", "empty binary", "a surrogate in UTF-8", "an overlong NUL", "no UTF-8", "UTF-16", "too large"],
)
async def test_I2_what_is_no_text_at_all_ends_the_conversation_with_its_code(quick, frame, code):
    raw = await Raw.open(quick)
    raw.writer.write(frame)
    assert await raw.closed() == code


async def test_I2_last_of_two_equal_keys_wins(server):
    client = await server.connect()
    pairs = json.dumps(STATUS)[:-1] + ',"connectorId":2,"status":"Faulted"}'
    assert (await answer_of(client, call(pairs, "StatusNotification")))[2] == {}
    assert await server.rows("SELECT evse_id, status FROM connectors") == [(2, "faulted")]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "-1e999", DIGITS, '"NaN"', '"1e999"', '"Infinity"'])
async def test_I2_nothing_that_is_no_number_is_ever_stored(server, value):
    client = await server.connect()
    started = await client.call("StartTransaction", START)
    sampled = f'{{"timestamp":"2026-05-04T11:01:00Z","sampledValue":[{{"value":{json.dumps(value.strip(chr(34)))}}}]}}'
    meter = f'{{"connectorId":1,"transactionId":{started["transactionId"]},"meterValue":[{sampled}]}}'
    assert (await answer_of(client, call(meter, "MeterValues")))[:2] == [3, "t"]
    await client.socket.send(call(json.dumps(START)[:-1] + f',"meterStart":{value}}}', "StartTransaction").decode())
    assert (await client.receive())[0] in (3, 4)
    texts = await server.rows("SELECT energy_wh, meter_start_wh, meter_stop_wh FROM sessions")
    assert all(column is None or abs(column) < 1e12 for row in texts for column in row)
    for (readings,) in await server.rows("SELECT readings FROM samples"):
        for sample in json.loads(readings, parse_constant=pytest.fail):
            assert isinstance(sample["value"], str) or abs(sample["value"]) < 1e12, "kept as the text it was"


@pytest.mark.parametrize(
    "frame",
    [b"[" * DEEP, data("[" * 50_000 + "]" * 50_000), status("connectorId", DIGITS * 15)],
    ids=["depth", "payload", "digits"],
)
async def test_I2_neighbour_is_answered_in_the_midst_of_many_traps(quick, frame):
    await quick.add_station("CS-2")
    attacker, neighbour = await Raw.open(quick), await quick.connect("CS-2")
    attacker.writer.write(framed(frame) * 100)
    answered = 0

    async def count() -> None:
        nonlocal answered
        while answered < 100:
            await attacker.receive()
            answered += 1

    counting = asyncio.create_task(count())
    await usable(neighbour)
    assert answered < 100, "answered while the traps were being worked off"
    await counting


@pytest.mark.parametrize("frame", [
    b'[2,"1","%s",{}]', b'[2,"%s","Heartbeat",{}]', b'[2,"1","Heartbeat","%s"]', b'[2,"1","Heartbeat",{"%s":1}]',
    b'[3,"%s",{}]', b'[4,"1","%s","%s",{}]', b'{"%s":1}', b'[2,"1","StatusNotification",{"connectorId":"%s"}]',
])  # fmt: skip
async def test_N12_long_texts_of_a_station_make_no_long_lines_in_our_log(quick, frame):
    raw = await Raw.open(quick)
    with capture_logs() as logs:
        raw.writer.write(framed(frame.replace(b"%s", b"x" * 100_000)))
        while (await raw.ask([2, "after", "Heartbeat", {}]))[1] != "after":
            pass
    assert all(len(str(line)) < 2_000 for line in logs)


@pytest.mark.parametrize(
    ("payload", "answered"),
    [
        ({"connectorId": "1", "errorCode": "NoError", "status": "Available"}, 3),
        ({"connectorId": True, "errorCode": "NoError", "status": "Available"}, 4),
        ({"connectorId": None, "errorCode": "NoError", "status": "Available"}, 4),
        ({"connectorId": [], "errorCode": {}, "status": 7}, 4),
        ({"connectorId": 1, "errorCode": "NoError"}, 4),
        (STATUS | {"info": "x" * 10_000}, 3),
        (STATUS | {"info": None, "vendorId": None, "extra": {"a": [1]}}, 3),
    ],
)
async def test_I3_wrong_fields_are_repaired_or_refused_and_the_socket_stays(quick, payload, answered):
    client = await quick.connect()
    assert (await answer_of(client, call(json.dumps(payload), "StatusNotification")))[0] == answered
    await usable(client)


@pytest.mark.parametrize(
    "year", ["222222017-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)
async def test_I4_impossible_times_are_answered_and_stored_as_ours(server, year):
    client = await server.connect()
    started = await client.call("StartTransaction", START | {"timestamp": year})
    assert started["transactionId"] > 0
    assert (
        await client.call(
            "StopTransaction", {"transactionId": started["transactionId"], "meterStop": 50, "timestamp": year}
        )
        is not None
    )
    ((start, end, energy),) = await server.rows("SELECT started_at, ended_at, energy_wh FROM sessions")
    assert start == end == round(NOW.timestamp() * 1_000_000)
    assert energy is None or energy >= 0, "a falling meter is never a negative bill"


@pytest.mark.parametrize("connector", [9_999, -1, 2**31 - 1])
async def test_I4_connector_that_cannot_be_is_answered(server, connector):
    client = await server.connect()
    assert (await answer_of(client, call(json.dumps(STATUS | {"connectorId": connector}), "StatusNotification")))[
        0
    ] in (3, 4)
    assert (await answer_of(client, call(json.dumps(START | {"connectorId": connector}), "StartTransaction")))[0] in (
        3,
        4,
    )
    await usable(client)


async def test_I5_answers_that_nobody_asked_for_settle_nothing(quick):
    client = await quick.connect()
    outcome: asyncio.Future = asyncio.get_running_loop().create_future()
    quick.gateway.link_of(1).call(Pending("q1", "ClearCache", b"{}", 5.0, outcome.set_result))
    await client.receive()
    for frame in ('[3,"q0",{"status":"Rejected"}]', '[4,"Q1","X","",{}]', '[3,"",{}]', '[3,"q1"]', "[3,1,{}]"):
        await client.socket.send(frame)
    await usable(client)
    assert not outcome.done()
    await client.socket.send('[3,"q1",{"status":"Accepted"}]')
    assert await outcome == Answered(b'{"status":"Accepted"}')
    await client.socket.send('[3,"q1",{"status":"Rejected"}]')
    await usable(client)


async def test_I5_answer_to_another_stations_call_settles_nothing(quick):
    await quick.add_station("CS-2")
    one, other = await quick.connect(), await quick.connect("CS-2")
    outcome: asyncio.Future = asyncio.get_running_loop().create_future()
    quick.gateway.link_of(1).call(Pending("q1", "ClearCache", b"{}", 5.0, outcome.set_result))
    await one.receive()
    await other.socket.send('[3,"q1",{"status":"Rejected"}]')
    await usable(other)
    assert not outcome.done()


@pytest.mark.parametrize("again", ["1", "2"])
async def test_I6_start_that_lost_its_answer_gets_the_same_one_whatever_its_id(server, again):
    client = await server.connect()
    await client.send("StartTransaction", START, "1")
    first = await client.receive()
    client = await server.connect()
    await client.send("StartTransaction", START, again)
    assert (await client.receive())[2] == first[2]
    assert await server.rows("SELECT count(*) FROM sessions") == [(1,)]


async def test_I6_same_id_with_another_content_is_another_message(server):
    client = await server.connect()
    ids = set()
    for minute in range(3):
        await client.send("StartTransaction", START | {"timestamp": f"2026-05-04T10:0{minute}:00Z"}, "1")
        ids.add((await client.receive())[2]["transactionId"])
    assert len(ids) == 3


async def test_I7_report_that_never_ends_is_answered_part_by_part_and_others_are_served(server):
    await server.add_station("CS-2")
    endless, neighbour = await server.connect(version="2.0.1"), await server.connect("CS-2")
    await endless.boot()
    component, variable = {"name": "C"}, {"name": "V"}
    attribute = [{"value": "x" * 500}]
    for number in range(30):
        data = [
            {
                "component": component,
                "variable": variable | {"instance": f"{number}-{row}"},
                "variableAttribute": attribute,
            }
            for row in range(50)
        ]
        report = {"requestId": 1, "generatedAt": NOW.isoformat(), "seqNo": number, "tbc": True, "reportData": data}
        await endless.send("NotifyReport", report)
        await usable(neighbour)
        assert (await endless.receive())[0] in (3, 4)
    await usable(endless)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
async def test_I2_number_beyond_64_bits_never_sends_a_station_away(server, value):
    """It would come back with the same message for ever."""
    client = await server.connect()
    for action, payload in (
        ("StartTransaction", START | {"connectorId": value}),
        ("StatusNotification", {"connectorId": value, "status": "Available", "errorCode": "NoError"}),
    ):
        await client.socket.send(call(json.dumps(payload), action).decode())
        assert (await client.receive())[2] == "PropertyConstraintViolation"
    await usable(client)
