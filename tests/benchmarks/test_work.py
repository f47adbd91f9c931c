"""The benchmark's own messages are what the servers expect."""

from itertools import islice, pairwise

import msgspec
import pytest

from benchmarks import work
from csms.ocpp import frames
from csms.ocpp.catalogue import Version, actions

ANSWER = b'[3,"1",{"idTagInfo":{"status":"Accepted"},"transactionId": 4711}]'
VERSIONS = {"1.6": Version.V16, "2.0.1": Version.V201}
TALKS = [(kind.version.name, kind.talk) for kind in work.SATURATED] + [("1.6", work.day_16), ("1.6", work.billing_16)]


def said(talk, most):
    """What a station says when every call is answered."""
    speaking = talk()
    yield next(speaking)
    yield from islice((speaking.send(ANSWER) for _ in iter(int, 1)), most - 1)


@pytest.mark.parametrize(("version", "talk"), TALKS)
def test_every_call_is_valid_and_has_an_id_of_its_own(version, talk):
    calls = [frames.parse(message, VERSIONS[version]) for message in said(talk, 30)]
    for call in calls:
        actions(VERSIONS[version])[call.action].decode_request(call.payload)
    assert len({call.id for call in calls}) == 30


@pytest.mark.parametrize("boot", [work.V16, work.V201])
def test_the_boot_of_each_version_is_valid(boot):
    actions(VERSIONS[boot.name])["BootNotification"].decode_request(boot.boot)


@pytest.mark.parametrize("talk", [work.statuses_16, work.statuses_201])
def test_each_status_changes_something(talk):
    bodies = [frames.parse(message, Version.V201).payload for message in said(talk, 10)]
    status = [
        msgspec.json.decode(body).get("status") or msgspec.json.decode(body)["connectorStatus"] for body in bodies
    ]
    assert all(before != after for before, after in pairwise(status))


@pytest.mark.parametrize(
    "answer", [ANSWER, b'[3,"1",{"transactionId":4711,"idTagInfo":{}}]', b'[3,"1",{"transactionId":4711}]']
)
def test_the_transaction_id_is_found_wherever_it_stands(answer):
    assert work.transaction_id(answer) == b"4711"


def test_the_mixture_is_what_its_note_says():
    calls = [frames.parse(message, Version.V16).action for message in said(work.day_16, 12)]
    assert {action: calls.count(action) for action in set(calls)} == {
        "MeterValues": 6, "StatusNotification": 2, "Heartbeat": 2, "StartTransaction": 1, "StopTransaction": 1
    }  # fmt: skip
