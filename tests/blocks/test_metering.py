"""Block J: what is sampled becomes Wh, W and percent; what was sent stays as it was sent."""

from __future__ import annotations

import pytest

from csms.domain.events import SessionMetered
from csms.domain.quirks import Quirk
from tests.blocks.conversation import Conversation, after, stamp


def sample(value: object = "100", **fields: object) -> dict:
    return {"value": value} | fields


def values_16(*samples: dict, transaction: int | None = 1, connector: int = 1, minutes: float = 1) -> dict:
    named = {} if transaction is None else {"transactionId": transaction}
    return {"connectorId": connector, "meterValue": [{"timestamp": stamp(minutes), "sampledValue": [*samples]}]} | named


async def started(station: Conversation, meter: int = 0) -> Conversation:
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": meter, "timestamp": stamp(0)}
    await station.say("StartTransaction", start)
    return station


async def read_16(station: Conversation, *samples: dict) -> tuple:
    """What one message tells: register in Wh, power in W, charge in percent."""
    await station.say("MeterValues", values_16(*samples, transaction=None))
    reading = station.records.samples[-1][2]
    return reading.register_wh, reading.power_w, reading.soc


async def read_2x(station: Conversation, *samples: dict) -> tuple:
    await station.say("MeterValues", {"evseId": 1, "meterValue": [{"timestamp": stamp(1), "sampledValue": [*samples]}]})
    reading = station.records.samples[-1][2]
    return reading.register_wh, reading.power_w, reading.soc


POWER, SOC = {"measurand": "Power.Active.Import"}, {"measurand": "SoC"}


@pytest.mark.parametrize(
    ("samples", "read"),
    [
        ([sample("12.5")], (12.5, None, None)),
        ([sample("1.5", unit="kWh")], (1_500.0, None, None)),
        ([sample("7", unit="kW", **POWER)], (None, 7_000.0, None)),
        ([sample("7", **POWER)], (None, 7.0, None)),
        ([sample("55", unit="Percent", **SOC), sample("3")], (3.0, None, 55.0)),
        ([sample("3", location="Outlet"), sample("4", location="Inlet")], (3.0, None, None)),
        ([sample("4", location="Inlet")], (4.0, None, None)),
        ([sample("9", measurand="Current.Import", unit="A")], (None, None, None)),
        ([sample("9", measurand="Energy.Active.Export.Register")], (None, None, None)),
    ],
)
async def test_T56_measurand_and_unit_have_defaults(v16, samples, read):
    assert await read_16(v16, *samples) == read


@pytest.mark.parametrize(
    ("measurand", "unit"),
    [
        ("Energy.Active.Import.Register", "Wh"), ("Power.Active.Import", "W"), ("Power.Factor", ""),
        ("SoC", "Percent"), ("Voltage", ""),
    ],
)  # fmt: skip
async def test_T56_default_unit_is_that_of_the_measurand(v16, measurand, unit):
    await read_16(v16, sample("1", measurand=measurand))
    assert v16.records.samples[-1][2].samples[0].unit == unit


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("12.5", 12.5), ("1,5", 1.5), ("", ""), ("NaN", "NaN"), ("inf", "inf"), ("-Infinity", "-Infinity"),
        ("1e400", "1e400"), ("1,2,3", "1,2,3"), ("1,000.5", "1,000.5"), ("abc", "abc"), ("1e16", "1e16"),
    ],
)  # fmt: skip
async def test_T55_text_that_is_no_number_stays_text(v16, text, kept):
    assert (await read_16(v16, sample(text), sample("7", **POWER)))[1] == 7.0, "its neighbour is read"
    assert v16.records.samples[-1][2].samples[0].value == kept


async def test_T55_message_without_samples_is_answered(v16, v201):
    await v16.say("MeterValues", values_16(transaction=None))
    assert v16.records.samples[-1][2].samples == ()
    assert await read_2x(v201) == (None, None, None)


@pytest.mark.parametrize(
    ("samples", "total"),
    [
        ([("L1", 1), ("L2", 2), ("L3", 3)], 6.0),
        ([("L1", 1), (None, 9), ("L2", 2)], 9.0),
        ([("L1-N", 1), ("L2-N", 2), ("L3-N", 3)], 6.0),
        ([("L1-L2", 400), ("N", 5)], None),
    ],
)
async def test_T58_total_comes_before_the_sum_of_the_phases(v16, samples, total):
    sent = [sample(str(value), **({"phase": phase} if phase else {})) for phase, value in samples]
    assert (await read_16(v16, *sent))[0] == total


@pytest.mark.parametrize(
    ("unit", "register"),
    [
        (None, 5.0),
        ({"unit": "kWh"}, 5_000.0),
        ({"multiplier": 3}, 5_000.0),
        ({"unit": "kWh", "multiplier": -3}, 5.0),
        ({"unit": "Wh", "multiplier": 400}, None),
        ({"unit": "Wh", "multiplier": 13}, 5e13),
        ({"unit": "kWh", "multiplier": 14}, None),
    ],
)
async def test_T60_multiplier_and_unit_scale_the_value(v201, unit, register):
    assert (await read_2x(v201, sample(5.0, **({"unitOfMeasure": unit} if unit else {}))))[0] == register


async def test_nothing_that_is_no_finite_energy_becomes_a_register(v201):
    """I2, I4: an infinite register could be written, but never read back."""
    assert await read_2x(v201, sample(1e308, unitOfMeasure={"unit": "kWh"})) == (None, None, None)


async def test_T61_signed_values_are_kept_byte_exact(v16, v201):
    await read_16(v16, sample("OCMF|{}|{}", format="SignedData"))
    kept = v16.records.samples[-1][2].samples[0]
    assert kept.signed == kept.value == "OCMF|{}|{}"
    signed = {"signedMeterData": "T0NNRg==", "signingMethod": "M", "encodingMethod": "OCMF", "publicKey": "K"}
    await read_2x(v201, sample(1.0, signedMeterValue=signed))
    assert v201.records.samples[-1][2].samples[0].signed == {
        "data": "T0NNRg==", "signing_method": "M", "encoding_method": "OCMF", "public_key": "K",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "kept"),
    [({"measurand": "Vendor.Thing"}, "Vendor.Thing"), ({"context": "Vendor"}, "Energy.Active.Import.Register")],
)
async def test_T38_unknown_measurand_or_context_is_kept(v16, fields, kept):
    await read_16(v16, sample("1", **fields))
    assert v16.records.samples[-1][2].samples[0].measurand == kept


async def test_T47_time_without_a_zone_is_told_where_the_station_stands(v16):
    start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-05-04T14:00:00"}
    await v16.say("StartTransaction", start)
    v16.station.quirk = Quirk(why="set up by hand", time_zone="Europe/Berlin")
    await v16.say("StartTransaction", start | {"connectorId": 2, "timestamp": "2026-05-04T14:00:00"})
    await v16.say("StartTransaction", start | {"connectorId": 3, "timestamp": "2026-05-04T12:00:00Z"})
    assert [session.started_at.hour for session in v16.sessions] == [14, 12, 12]


async def test_T47_T49_times_of_a_lost_clock_are_times_of_receipt(v16):
    sent = values_16(sample("1"), transaction=None)
    sent["meterValue"][0]["timestamp"] = "1970-01-01T00:00:00"
    await v16.say("MeterValues", sent)
    assert v16.records.samples[-1][2].at == v16.now


async def test_readings_move_their_session_on_and_are_told(v16):
    await started(v16, 1_000)
    await v16.say("MeterValues", values_16(sample("3500"), sample("7", unit="kW", **POWER), sample("40", **SOC)))
    session = v16.session
    assert (session.energy_wh, session.power_w, session.soc) == (2_500.0, 7_000.0, 40.0)
    assert v16.events(SessionMetered) == [
        SessionMetered(at=after(1), session=session.id, energy_wh=2_500.0, power_w=7_000.0, soc=40.0)
    ]


async def test_repeated_meter_values_are_kept_once(v16):
    await started(v16)
    for _ in range(3):
        await v16.say("MeterValues", values_16(sample("10")))
    assert len(v16.records.samples) == 1


async def test_older_repeat_is_recognised_by_what_was_stored(v16):
    await started(v16)
    for minutes, wh in ((1, "10"), (2, "20"), (1, "10"), (2, "20")):
        await v16.say("MeterValues", values_16(sample(wh), minutes=minutes))
    assert [reading.register_wh for _, _, reading in v16.records.samples] == [10.0, 20.0]


async def test_another_value_of_the_same_moment_is_no_repeat(v16):
    await started(v16)
    await v16.say("MeterValues", values_16(sample("10")))
    await v16.say("MeterValues", values_16(sample("7", **POWER)))
    assert len(v16.records.samples) == 2


@pytest.mark.parametrize("transaction", [0, 77, -1, None])
async def test_T16_readings_without_a_session_are_kept_and_attached_to_nothing(v16, transaction):
    await v16.say("MeterValues", values_16(sample("10"), transaction=transaction))
    assert [(session, reading.register_wh) for _, session, reading in v16.records.samples] == [(None, 10.0)]
    assert len(v16.records.unmatched) == (transaction is not None)


async def test_T16_late_readings_do_not_revive_an_ended_session(v16):
    await started(v16)
    await v16.say("StopTransaction", {"transactionId": 1, "meterStop": 500, "timestamp": stamp(9)})
    await v16.say("MeterValues", values_16(sample("300")))
    assert not v16.session.is_open
    assert v16.session.energy_wh == 500.0
    assert v16.station.sessions is None
    assert len(v16.records.samples) == 1


async def test_readings_of_the_whole_station_have_no_connector(v16):
    await v16.say("MeterValues", values_16(sample("1"), transaction=None, connector=0))
    assert (v16.context.unit.metered[0].evse_id, v16.context.unit.metered[0].connector_id) == (0, 0)


async def test_readings_of_another_station_stay_where_they_are(v16):
    """S14: the transaction id of a neighbour finds nothing."""
    await started(v16)
    other = Conversation(v16.version, v16.records, "CS-2")
    await other.say("MeterValues", values_16(sample("9999")))
    assert v16.session.energy_wh == 0.0
    assert len(v16.records.unmatched) == 1
