"""Transport rules 7-25 of OCPP-J: the conversation, over real sockets against a running gateway."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from csms.blocks.dispatch import Policy
from csms.gateway.server import Limits
from csms.ocpp.catalogue import Version
from csms.ocpp.peer import Answered, Dropped, Expired, Pending, Refused
from csms.storage.memory import MemoryRecords
from csms.storage.records import open_records
from tests.conftest import NOW, Client, Server
from tests.gateway.wire import Raw, answer_to, basic, framed, handshake

pytestmark = pytest.mark.usefixtures("quick_sweeps")

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-05-04T11:00:00Z"}
ALL = (Version.V16, Version.V201, Version.V21)


def ask(server: Server, action: str = "ClearCache", message_id: str = "q1", timeout: float = 5.0) -> asyncio.Future:
    """A call of ours to CS-1; its outcome."""
    outcome: asyncio.Future = asyncio.get_running_loop().create_future()
    server.gateway.link_of(1).call(Pending(message_id, action, b"{}", timeout, outcome.set_result))
    return outcome


async def said(client: Client, frame: str) -> Any:
    await client.socket.send(frame)
    return await client.receive()


async def still_talks(client: Client) -> None:
    assert "currentTime" in await client.call("Heartbeat")


async def test_rule_07_one_call_of_ours_at_a_time_while_theirs_are_answered(quick):
    client = await quick.connect()
    first, second = ask(quick, message_id="q1"), ask(quick, message_id="q2")
    assert (await client.receive())[:2] == [2, "q1"]
    await still_talks(client)
    await client.socket.send('[3,"q1",{"status":"Accepted"}]')
    assert (await client.receive())[:2] == [2, "q2"], "not before the first was answered"
    await client.socket.send('[3,"q2",{"status":"Accepted"}]')
    assert {type(await first), type(await second)} == {Answered}


async def test_rule_07_calls_of_a_station_that_does_not_wait_are_answered_in_order(quick):
    client = await quick.connect()
    for number in range(20):
        await client.send("StatusNotification", STATUS, f"s{number}")
    assert [(await client.receive())[1] for _ in range(20)] == [f"s{number}" for number in range(20)]


@pytest.mark.parametrize("message_id", ["1", "", "i" * 36, "i" * 255, "ä漢😀", '"\\\n'])
async def test_rule_08_any_id_is_given_back_also_one_over_36_characters(quick, message_id):
    client = await quick.connect()
    await client.send("Heartbeat", {}, message_id or None)
    assert (await client.receive())[0] == 3
    assert (await said(client, json.dumps([2, message_id, "Heartbeat", {}])))[:2] == [3, message_id]


async def test_rule_08_reused_id_is_never_rejected_and_proves_nothing(server):
    client = await server.connect()
    await client.boot()
    for action, payload in (("Heartbeat", {}), ("StatusNotification", STATUS), ("Heartbeat", {})):
        await client.send(action, payload, "1")
        assert (await client.receive())[:2] == [3, "1"]
    answers = []
    for message_id in ("1", "1", "other"):
        await client.send("StartTransaction", START, message_id)
        answers.append((await client.receive())[2]["transactionId"])
    assert len(set(answers)) == 1, "the same start, whatever its id"


async def test_rule_09_call_error_has_five_elements_and_details_are_an_object(quick):
    client = await quick.connect()
    _, _, _, text, details = await client.call("Fly" * 200)
    assert len(text) <= 255 and details == {}


@pytest.mark.parametrize("details", ["null", '"text"', "[]", "{}", ""])
async def test_rule_09_T64_call_error_with_any_details_is_understood(quick, details):
    client = await quick.connect()
    outcome = ask(quick)
    await client.receive()
    await client.socket.send('[4,"q1","NotSupported","no"' + (f",{details}]" if details else "]"))
    assert type(await outcome) is Refused


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize(
    "frame", ["[,{", "[2]", '[2,7,"Heartbeat",{}]', '[2,null,"Heartbeat",{}]', "{}", "x", '"', "[2,"]
)
async def test_rule_10_T63_unreadable_id_is_answered_minus_one(server, version, frame):
    client = await server.connect(version=version)
    await client.boot()
    assert (await said(client, frame))[:2] == [4, "-1"]
    await still_talks(client)


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
@pytest.mark.parametrize(
    "frame", ['[3,"zz"]', '[3,"zz",{}]', '[4,"zz"]', '[4,"zz","X","",{}]', "[3]", "[3,7,{}]", '[4,"-1","X","",{}]']
)
async def test_rule_11_T65_answers_are_never_answered_with_a_call_error(modern, version, frame):
    client = await modern.connect(version=version)
    await client.socket.send(frame)
    answer = await said(client, '[2,"next","Nothing",{}]')
    if version == "2.1" and frame == '[3,"zz"]':
        assert answer[:2] == [5, "zz"]
    else:
        assert answer[:2] == [4, "next"]


async def test_rule_11_21_is_told_of_a_result_that_cannot_be_understood(modern):
    client = await modern.connect(version="2.1")
    outcome = ask(modern)
    ask(modern, message_id="q2")
    await client.receive()
    assert (await said(client, '[3,"q1",{"status":7}]'))[:3] == [5, "q1", "FormatViolation"]
    assert (await client.receive())[:2] == [2, "q2"], "and our next call follows"
    assert type(await outcome) is Answered


@pytest.mark.parametrize(
    "send",
    [
        '[6,"s","NotifyPeriodicEventStream",{}]',
        '[6,"s","Fly",{}]',
        '[6,"s"]',
        "[6]",
        '[6,"s",7,{}]',
        '[6,"s","X",null]',
    ],
)
async def test_rule_12_send_is_never_answered_even_if_invalid_even_while_a_call_waits(modern, send):
    client = await modern.connect(version="2.1")
    outcome = ask(modern)
    await client.receive()
    await client.socket.send(send)
    assert (await said(client, '[2,"next","Nothing",{}]'))[:2] == [4, "next"]
    await client.socket.send('[3,"q1",{"status":"Accepted"}]')
    assert type(await outcome) is Answered


@pytest.mark.parametrize(
    ("version", "frame", "answered"),
    [
        ("1.6", '[9,"a",{}]', False), ("1.6", '[5,"a","X","",{}]', False), ("1.6", '[6,"a","X",{}]', False),
        ("2.0.1", '[9,"a",{}]', True), ("2.0.1", '[5,"a","X","",{}]', True), ("2.0.1", '[6,"a","X",{}]', True),
        ("2.1", '[9,"a",{}]', True), ("2.1", '[5,"a","X","",{}]', False),
    ],
)  # fmt: skip
async def test_rule_13_unknown_message_type_is_ignored_in_16_and_told_in_2x(modern, version, frame, answered):
    client = await modern.connect(version=version)
    await client.socket.send(frame)
    if answered:
        assert (await client.receive())[:3] == [4, "a", "MessageTypeNotSupported"]
    assert (await said(client, '[2,"next","Nothing",{}]'))[1] == "next"


WRONG = [  # What is wrong, as 1.6 and 2.0.1 call it.
    ("Fly", {}, "NotImplemented", "NotImplemented"),
    ("Authorize", {}, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
    ("Authorize", {"idTag": {}, "idToken": 7}, "TypeConstraintViolation", "TypeConstraintViolation"),
    ("Heartbeat", [], "FormationViolation", "FormatViolation"),
]


@pytest.mark.parametrize(("action", "payload", "code_16", "code_2x"), WRONG)
async def test_rule_14_error_codes_of_16_are_spelled_its_way(server, action, payload, code_16, code_2x):
    client = await server.connect()
    await client.boot()
    assert (await said(client, json.dumps([2, "1", action, payload])))[2] == code_16


@pytest.mark.parametrize(("action", "payload", "code_16", "code_2x"), WRONG)
async def test_rule_15_error_codes_of_2x_are_spelled_right(server, action, payload, code_16, code_2x):
    client = await server.connect(version="2.0.1")
    await client.boot()
    assert (await said(client, json.dumps([2, "1", action, payload])))[2] == code_2x


@pytest.mark.parametrize("code", ["FormationViolation", "FormatViolation", "OccurenceConstraintViolation", "Whatever"])
@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_rule_15_every_spelling_is_understood(server, version, code):
    client = await server.connect(version=version)
    outcome = ask(server)
    await client.receive()
    await client.socket.send(json.dumps([4, "q1", code, "", {}]))
    assert (await outcome).code == code


@pytest.mark.parametrize(
    ("frame", "code_16", "code_2x"),
    [
        ('[2,"1","Fly",{}]', "NotImplemented", "NotImplemented"),
        ('[2,"1","Reset",{}]', "NotSupported", "NotSupported"),
        ("[2,", "FormationViolation", "RpcFrameworkError"),
        ("{}", "FormationViolation", "RpcFrameworkError"),
        ('[2,"1","Heartbeat"]', "FormationViolation", "FormatViolation"),
        ('[2,"1",7,{}]', "FormationViolation", "FormatViolation"),
        ('[2,"1","Heartbeat","text"]', "FormationViolation", "FormatViolation"),
        ('["2","1","Heartbeat",{}]', "FormationViolation", "RpcFrameworkError"),
    ],
)
async def test_rule_16_which_code_says_what(server, frame, code_16, code_2x):
    for version, code in (("1.6", code_16), ("2.0.1", code_2x)):
        client = await server.connect(version=version)
        await client.boot()
        assert (await said(client, frame))[2] == code


async def test_rule_16_too_strict_a_value_is_a_property_violation_when_strict(make_server):
    records = MemoryRecords()
    records.add_station("CS-1", strict=True)
    client = await (await make_server(records)).connect()
    assert (await client.call("Authorize", {"idTag": "x" * 21}))[2] == "PropertyConstraintViolation"


async def test_rule_17_empty_payload_is_an_object_and_16_may_say_null(server):
    old, new = await server.connect(), None
    assert (await said(old, '[2,"1","Heartbeat",null]'))[0] == 3
    new = await server.connect(version="2.0.1")
    await new.boot()
    assert (await said(new, '[2,"1","Heartbeat",null]'))[2] == "FormatViolation"


async def test_rule_17_unknown_and_null_properties_do_not_cost_the_message(server):
    client = await server.connect()
    with capture_logs() as logs:
        assert await client.call("StatusNotification", STATUS | {"extra": 1, "info": None}) == {}
    assert any(line["event"] == "message.repaired" for line in logs)


async def test_rule_17_answers_leave_out_what_is_absent(server):
    answer = await (await server.connect()).call("Authorize", {"idTag": "TAG"})
    assert answer == {"idTagInfo": {"status": "Accepted"}}


async def test_rule_17_messages_are_text(quick):
    client = await quick.connect()
    await client.socket.send(b'[2,"1","Heartbeat",{}]')
    assert await client.closed() == 1003


async def test_rule_18_T40_2x_is_a_security_error_before_acceptance(server):
    client = await server.connect(version="2.0.1")
    assert (await client.call("Heartbeat"))[2] == "SecurityError"
    assert (await client.call("Fly"))[0] == 4
    await client.boot()
    await still_talks(client)


async def test_rule_18_16_is_answered_before_acceptance(server):
    await still_talks(await server.connect())


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_rule_18_T44_pending_connection_stays_open(make_server, version):
    records = MemoryRecords()
    records.add_station("CS-1", admission="pending")
    server = await make_server(records, limits=Limits(ping_interval=0.01, pong_deadline=5.0, drain=2.0))
    client = await server.connect(version=version)
    answer = await client.boot()
    assert answer["status"] == "Pending" and answer["interval"] > 0
    await asyncio.sleep(0.05)
    server.gateway.station_changed(1, {"admission": "accepted"})
    assert (await client.boot())["status"] == "Accepted"


async def test_rule_19_late_result_is_dropped_and_the_next_call_is_not_disturbed(quick):
    client = await quick.connect()
    first = ask(quick, message_id="q1", timeout=0.01)
    second = ask(quick, message_id="q2")
    assert (await client.receive())[1] == "q1"
    assert (await client.receive())[1] == "q2"
    assert await first == Expired("q1")
    with capture_logs() as logs:
        await client.socket.send('[3,"q1",{"status":"Accepted"}]')
        await still_talks(client)
    assert [line["event"] for line in logs] == ["frame.ignored"] and not second.done()


async def test_rule_20_any_frame_counts_as_a_sign_of_life(make_server):
    records = MemoryRecords()
    records.add_station("CS-1")
    server = await make_server(records, limits=Limits(ping_interval=0.3, pong_deadline=0.2, drain=2.0))
    raw = await Raw.open(server)
    for _ in range(8):
        await asyncio.sleep(0.1)
        raw.writer.write(framed([3, "nobody waits", {}]))
    assert server.gateway.link_of(1) is not None and not server.gateway.link_of(1).pinged_at


async def test_rule_20_T69_silent_station_is_pinged_and_let_go(make_server):
    records = MemoryRecords()
    records.add_station("CS-1")
    server = await make_server(records, limits=Limits(ping_interval=0.02, pong_deadline=0.02, drain=2.0))
    reader, _ = await server.raw(handshake())
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\x89\x00"
    await server.until(lambda: not server.gateway.stations)


async def test_rule_20_heartbeat_interval_comes_with_the_boot(make_server):
    records = MemoryRecords()
    records.add_station("CS-1")
    server = await make_server(records, policy=Policy(heartbeat_interval=77, random=lambda: 0.5))
    assert (await (await server.connect()).boot())["interval"] == 77


async def test_rule_21_T68_newest_wins_and_the_old_ones_calls_and_end_are_its_own(quick):
    old = await quick.connect()
    outcome = ask(quick)
    await old.receive()
    new = await quick.connect()
    assert await outcome == Dropped("q1", sent=True)
    assert await old.closed() == 1000
    await still_talks(new)
    assert quick.gateway.connected == 1


async def test_rule_21_newcomer_proves_itself_first(server):
    await server.add_station("CS-2", password=b"secret")
    client = await server.connect("CS-2", password=b"secret")
    for protocol, *more in (["ocpp1.6"], ["ocpp1.6", basic("CS-2", "x")], ["mqtt", basic("CS-2", "secret")]):
        assert (await answer_to(server, handshake("/ocpp/CS-2", protocol, *more)))[0] in (400, 401)
    await still_talks(client)


async def test_rule_22_T41_no_boot_is_expected_after_a_reconnect_or_our_restart(server, make_server, database):
    first = await server.connect(version="2.0.1")
    await first.boot()
    await first.socket.close()
    await server.until(lambda: not server.gateway.stations)
    await still_talks(await server.connect(version="2.0.1"))
    await server.gateway.stop()
    again = await make_server(await open_records(database, NOW), database)
    await still_talks(await again.connect(version="2.0.1"))


def test_rule_22_intervals_are_spread_out_when_many_stations_boot_at_once():
    shares = iter(range(11))
    policy = Policy(random=lambda: next(shares) / 10)
    assert {policy.interval(True, NOW) for _ in range(100)} == {300}, "as configured"
    seen = {policy.interval(True, NOW) for _ in range(11)}
    assert len(seen) == 11 and min(seen) == 240 and max(seen) == 360
    assert policy.interval(True, NOW + timedelta(minutes=1)) == 300, "the rush is over"


async def test_rule_23_offline_queue_is_taken_in_order_with_its_own_times(server):
    client = await server.connect()
    for number in range(3):
        at = f"2026-05-04T0{number}:00:00Z"
        started = await client.call("StartTransaction", START | {"timestamp": at})
        await client.call(
            "StopTransaction",
            {"transactionId": started["transactionId"], "meterStop": 200, "timestamp": at.replace(":00:00", ":30:00")},
        )
    rows = await server.rows("SELECT started_at, ended_at FROM sessions ORDER BY id")
    assert len(rows) == 3 and all(end - start == 1800 * 10**6 for start, end in rows)
    assert rows == sorted(rows)


async def test_rule_23_unknown_transaction_is_answered_with_a_result(server):
    client = await server.connect()
    answer = await client.call("StopTransaction", {"transactionId": 99, "meterStop": 1, "timestamp": NOW.isoformat()})
    assert isinstance(answer, dict)


async def test_rule_24_deflate_is_negotiated_without_context_and_bounded_while_it_inflates(server):
    client = await server.connect(version="2.0.1", extensions=[ClientPerMessageDeflateFactory()])
    agreed = client.socket.response.headers["Sec-WebSocket-Extensions"]
    assert "server_no_context_takeover" in agreed and "client_no_context_takeover" in agreed
    await client.boot()
    await still_talks(client)
    await client.socket.send("[" + "0" * (8 << 20))
    assert await client.closed() == 1009


async def test_rule_24_T75_deflate_can_be_denied_to_a_station_or_to_all(make_server):
    for options in ({"uncompressed": ("CS-*",)}, {"compression": False}):
        records = MemoryRecords()
        records.add_station("CS-1")
        server = await make_server(records, **options)
        client = await server.connect(extensions=[ClientPerMessageDeflateFactory()])
        assert "Sec-WebSocket-Extensions" not in client.socket.response.headers
        await still_talks(client)


async def test_rule_25_stations_behind_a_local_controller_keep_their_own_socket(server):
    await server.add_station("CS-2")
    one, other = await server.connect("CS-1"), await server.connect("CS-2")
    await one.socket.close()
    await server.until(lambda: server.gateway.connected == 1)
    await still_talks(other)


def signed(payload: Any, **header: Any) -> dict[str, str]:
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731
    return {"protected": part({"alg": "ES256", **header}), "payload": part(payload), "signature": "AAAA"}


async def test_rule_25_signed_message_is_unwrapped_and_processed(server):
    client = await server.connect(version="2.0.1")
    boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "Vendor", "model": "Model"}}
    assert (await client.call("BootNotification-Signed", signed(boot)))["status"] == "Accepted"
    assert "currentTime" in await client.call("Heartbeat-Signed", signed({}, OCPPAction="Heartbeat"))
    assert (await client.call("Heartbeat-Signed", {}))[2] == "FormatViolation"
    assert (await client.call("Heartbeat-Signed", signed({}, OCPPAction="Reset")))[2] == "SecurityError"
    assert (await client.call("Fly-Signed", signed({})))[2] == "NotImplemented"


async def test_rule_25_signed_transaction_that_cannot_be_read_is_kept_raw_as_any_other(server):
    client = await server.connect(version="2.0.1")
    await client.boot()
    assert (await client.call("TransactionEvent-Signed", {"payload": "?"}))[2] == "FormatViolation"
    assert (await client.call("TransactionEvent-Signed", signed({})))[2] == "OccurrenceConstraintViolation"
    kept = await server.rows("SELECT action, payload FROM unmatched ORDER BY id")
    assert [action for action, _ in kept] == ["TransactionEvent-Signed"] * 2 and kept[0][1] == '{"payload": "?"}'


async def test_rule_25_16_knows_no_signed_messages(quick):
    assert (await (await quick.connect()).call("Heartbeat-Signed", signed({})))[2] == "NotImplemented"
