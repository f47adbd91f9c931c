"""The catalogue knows every action, its types, its direction and its decoders."""

import subprocess
import sys

import msgspec
import pytest

from csms.ocpp import v16, v21, v201
from csms.ocpp.catalogue import Version, action_of, actions


@pytest.mark.parametrize(("version", "count"), [(Version.V16, 39), (Version.V201, 64), (Version.V21, 91)])
def test_every_action_of_a_version_is_known(version: Version, count: int) -> None:
    assert len(actions(version)) == count


@pytest.mark.parametrize("version", Version)
def test_only_data_transfer_goes_both_ways(version: Version) -> None:
    both = [action.name for action in actions(version).values() if action.from_station and action.from_csms]
    assert both == ["DataTransfer"]
    assert all(action.from_station or action.from_csms for action in actions(version).values())


@pytest.mark.parametrize(
    ("version", "name", "from_station"),
    [
        (Version.V16, "StopTransaction", True),
        (Version.V16, "SignedUpdateFirmware", False),
        (Version.V16, "SignCertificate", True),
        (Version.V201, "NotifyReport", True),
        (Version.V201, "CostUpdated", False),
        (Version.V21, "NotifyWebPaymentStarted", False),
        (Version.V21, "NotifyAllowedEnergyTransfer", False),
        (Version.V21, "PullDynamicScheduleUpdate", True),
        (Version.V21, "UsePriorityCharging", False),
    ],
)
def test_an_action_goes_its_way(version: Version, name: str, from_station: bool) -> None:
    action = actions(version)[name]
    assert (action.from_station, action.from_csms) == (from_station, not from_station)


def test_an_action_is_found_by_its_request_and_its_response() -> None:
    assert action_of(v16.Reset) is actions(Version.V16)["Reset"]
    assert action_of(v201.ResetResponse) is actions(Version.V201)["Reset"]
    assert action_of(v21.NotifyPeriodicEventStream).response is None


@pytest.mark.parametrize("stranger", [int, v16.IdTagInfo, v201.ClearChargingProfileType])
def test_what_is_no_message_has_no_action(stranger: type) -> None:
    with pytest.raises(LookupError, match=stranger.__name__):
        action_of(stranger)


def test_decoders_are_strict() -> None:
    boot = actions(Version.V16)["BootNotification"]
    assert boot.decode_request(b'{"chargePointVendor":"v","chargePointModel":"m"}') == v16.BootNotification(
        charge_point_vendor="v", charge_point_model="m"
    )
    for raw in (b"{}", b'{"chargePointVendor":"v","chargePointModel":"m","x":1}', b'{"chargePointVendor":1}'):
        with pytest.raises(msgspec.ValidationError):
            boot.decode_request(raw)
    with pytest.raises(msgspec.DecodeError):
        boot.decode_response(b"{")


def test_the_second_call_goes_straight_to_the_decoder() -> None:
    heartbeat = actions(Version.V16)["Heartbeat"]
    heartbeat.decode_request(b"{}")
    assert isinstance(heartbeat.decode_request.__self__, msgspec.json.Decoder)  # type: ignore[attr-defined]


def test_a_message_without_answer_has_none_to_decode() -> None:
    with pytest.raises(TypeError, match="never answered"):
        actions(Version.V21)["NotifyPeriodicEventStream"].decode_response(b"{}")


def test_custom_data_keeps_what_the_vendor_adds() -> None:
    raw = b'{"customData":{"vendorId":"acme","depth":{"of":[1]}}}'
    message = actions(Version.V201)["Heartbeat"].decode_request(raw)
    assert message.custom_data == {"vendorId": "acme", "depth": {"of": [1]}}
    assert msgspec.json.encode(message) == raw


@pytest.mark.parametrize("custom", [b"{}", b"[]", b'{"vendorId":1}', b'{"vendorId":"%s"}' % (b"x" * 256)])
def test_custom_data_names_its_vendor(custom: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match="vendorId"):
        actions(Version.V201)["Heartbeat"].decode_request(b'{"customData":%s}' % custom)


def test_a_version_is_imported_when_asked_for() -> None:
    program = (
        "import sys; from csms.ocpp.catalogue import *; actions(Version.V16);"
        "print([name for name in ('v16', 'v201', 'v21') if f'csms.ocpp.{name}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['v16']"


def test_a_subprotocol_names_its_version_exactly() -> None:
    assert [version.subprotocol for version in Version] == ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]
    assert [Version.from_subprotocol(version.subprotocol) for version in Version] == list(Version)
    for stranger in ("", "ocpp2.0", "OCPP1.6", "ocpp1.6 ", "1.6"):
        assert Version.from_subprotocol(stranger) is None
