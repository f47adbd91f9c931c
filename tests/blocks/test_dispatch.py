"""Dispatch: which calls are answered, which are refused, and with what code."""

from __future__ import annotations

import json

import msgspec
import pytest

from csms.blocks import dispatch
from csms.blocks.dispatch import TRANSACTION_ACTIONS, Policy, answer, answers, handler_of
from csms.ocpp import v16 as messages_16
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.frames import Call
from tests.blocks.conversation import NOON, Conversation


async def refusal(station: Conversation, action: str, payload: dict | None = None) -> Fault:
    with pytest.raises(OcppError) as refused:
        await station.say(action, payload)
    return refused.value.fault


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        ("Fly", Fault.NOT_IMPLEMENTED),
        ("Reset", Fault.NOT_SUPPORTED),
        ("StartTransaction", Fault.OCCURRENCE),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_right_code(v16, action, fault):
    assert await refusal(v16, action) is fault


async def test_known_action_without_a_handler_is_not_supported(v16, monkeypatch):
    monkeypatch.delitem(dispatch._HANDLERS, messages_16.SignCertificate)
    assert await refusal(v16, "SignCertificate", {"csr": ""}) is Fault.NOT_SUPPORTED


async def test_action_of_another_version_is_not_implemented(v16, v201):
    assert await refusal(v16, "TransactionEvent") is Fault.NOT_IMPLEMENTED
    assert await refusal(v201, "StartTransaction") is Fault.NOT_IMPLEMENTED


@pytest.mark.parametrize("registration", [None, "pending", "rejected"])
async def test_T40_2x_answers_only_boots_before_the_registration_is_accepted(v201, registration):
    v201.station.registration = registration
    assert await refusal(v201, "Heartbeat") is Fault.SECURITY
    assert await refusal(v201, "TransactionEvent") is Fault.SECURITY
    about = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
    assert (await v201.say("BootNotification", about))["status"] == "Accepted"
    assert await v201.say("Heartbeat")


async def test_T40_16_is_answered_before_the_boot(v16):
    v16.station.registration = None
    assert await v16.say("Heartbeat")


async def test_T40_16_is_asked_once_for_the_boot_that_it_left_out(v16):
    v16.station.registration, v16.policy = None, Policy(boot_patience=0)
    await v16.say("Heartbeat")
    asked = await v16.context.afterwards()
    assert asked == ("TriggerMessage", {"requestedMessage": "BootNotification"})
    await v16.say("Heartbeat")
    assert v16.context.afterwards is None


async def test_T40_16_that_boots_by_itself_meanwhile_or_leaves_is_not_asked(v16):
    v16.station.registration, v16.policy = None, Policy(boot_patience=0)
    await v16.say("Heartbeat")
    make = v16.context.afterwards
    v16.station.link = object()  # It came back on another connection.
    assert await make() is None
    v16.station.link = None
    await v16.say("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    assert await make() is None


async def test_strict_station_is_not_repaired(v16):
    v16.station.strict = True
    assert await refusal(v16, "Heartbeat", {"extra": 1}) is Fault.FORMAT
    v16.station.strict = False
    assert await v16.say("Heartbeat", {"extra": 1})
    assert len(v16.context.repairs) == 1


async def test_answer_carries_the_message_id_as_sent(v16):
    await v16.say("Heartbeat")
    call = Call('a"b', "Heartbeat", msgspec.Raw(b"{}"))
    assert json.loads(await answer(call, v16.context))[1] == 'a"b'


def test_message_type_has_one_handler():
    with pytest.raises(TypeError, match="two handlers"):

        @answers
        async def again(request: messages_16.Heartbeat, ctx):
            """Never registered."""


class Ping(msgspec.Struct):
    """A message of one version …"""


class Pong(msgspec.Struct):
    """… and what another calls it."""


def test_one_handler_may_answer_several_types(monkeypatch):
    handlers = {}
    monkeypatch.setattr(dispatch, "_HANDLERS", handlers)

    @answers
    async def both(request: Ping | Pong, ctx):
        """For two versions."""

    assert handlers == {Ping: both, Pong: both}


def test_catalogue_says_what_is_answered():
    assert handler_of(actions(Version.V16)["StartTransaction"]) is not None
    assert handler_of(actions(Version.V16)["Reset"]) is None


def test_transaction_actions_exist_and_are_answered():
    known = {name: action for version in (Version.V16, Version.V201) for name, action in actions(version).items()}
    assert all(handler_of(known[name]) for name in TRANSACTION_ACTIONS)


async def test_unit_is_made_when_something_changes(v16):
    await v16.say("Heartbeat")
    assert v16.context.work is None
    assert v16.context.unit.empty
    assert v16.context.work is None


@pytest.mark.parametrize(
    ("random", "accepted", "interval"),
    [(0.5, True, 300), (0.0, True, 240), (1.0, True, 360), (0.5, False, 60), (0.0, False, 48)],
)
def test_T45_intervals_are_spread_around_their_mean_in_a_rush(random, accepted, interval):
    policy = Policy(random=lambda: random)
    assert {policy.interval(accepted, NOON) for _ in range(100)} == {300 if accepted else 60}
    assert policy.interval(accepted, NOON) == interval


def test_T45_interval_is_never_zero():
    assert Policy(heartbeat_interval=0).interval(True, NOON) == 1
