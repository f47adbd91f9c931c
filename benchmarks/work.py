"""What the stations of a benchmark say: one generator a kind of message, endless, each step a call and its answer.

Each station has a clock of its own that moves with every message: then no reading repeats another.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, cycle

Talk = Generator[bytes, bytes, None]

TOKEN = "BENCHMARK"
_START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
_MARK = b'"transactionId":'
_ids = count(1)


def call(action: bytes, payload: bytes) -> bytes:
    return b'[2,"%d","%b",%b]' % (next(_ids), action, payload)


def _clock() -> Generator[bytes, None, None]:
    for seconds in count():
        yield (_START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z").encode()


def transaction_id(answer: bytes) -> bytes:
    """The number after `"transactionId":` in the answer to a StartTransaction."""
    begin = answer.index(_MARK) + len(_MARK)
    end = begin
    while answer[end : end + 1] in b" 0123456789" and end < len(answer):
        end += 1
    return answer[begin:end].strip()


# 1.6

BOOT_16 = (
    b'{"chargePointVendor":"Benchmark","chargePointModel":"DC 180","chargePointSerialNumber":"B-0001",'
    b'"firmwareVersion":"1.4.2","iccid":"89860000000000000001","imsi":"460000000000001"}'
)
_STATUS_16 = b'{"connectorId":1,"errorCode":"NoError","status":"%b","timestamp":"%b"}'
_METER_16 = (
    b'{"connectorId":1,"transactionId":%b,"meterValue":[{"timestamp":"%b","sampledValue":['
    b'{"value":"%d.5","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    b'{"value":"59870.0","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},'
    b'{"value":"148.2","context":"Sample.Periodic","measurand":"Current.Import","unit":"A"},'
    b'{"value":"54","context":"Sample.Periodic","measurand":"SoC","unit":"Percent"}]}]}'
)
_START_16 = b'{"connectorId":1,"idTag":"%b","meterStart":%d,"timestamp":"%b"}'
_STOP_16 = b'{"transactionId":%b,"idTag":"%b","meterStop":%d,"timestamp":"%b","reason":"Local"}'


def boots_16() -> Talk:
    """Each is news, and kept: one that says what is known already writes nothing."""
    for number in count():
        yield call(b"BootNotification", BOOT_16.replace(b"1.4.2", b"1.4.%d" % (number % 2)))


def heartbeats() -> Talk:
    while True:
        yield call(b"Heartbeat", b"{}")


def statuses_16() -> Talk:
    for status, now in zip(cycle((b"Preparing", b"Available")), _clock(), strict=False):
        yield call(b"StatusNotification", _STATUS_16 % (status, now))


def meter_values_16() -> Talk:
    clock = _clock()
    number = transaction_id((yield call(b"StartTransaction", _START_16 % (TOKEN.encode(), 0, next(clock)))))
    for wh in count():
        yield call(b"MeterValues", _METER_16 % (number, next(clock), wh))


def transactions_16() -> Talk:
    """Start and stop, nothing between."""
    clock = _clock()
    for wh in count():
        number = transaction_id((yield call(b"StartTransaction", _START_16 % (TOKEN.encode(), wh, next(clock)))))
        yield call(b"StopTransaction", _STOP_16 % (number, TOKEN.encode(), wh + 1, next(clock)))


def day_16() -> Talk:
    """A mixture: of 12 messages, 6 MeterValues, 2 StatusNotifications, 2 Heartbeats, a start and a stop."""
    clock = _clock()
    for wh in count(0, 10):
        yield call(b"Heartbeat", b"{}")
        yield call(b"StatusNotification", _STATUS_16 % (b"Charging", next(clock)))
        number = transaction_id((yield call(b"StartTransaction", _START_16 % (TOKEN.encode(), wh, next(clock)))))
        for step in range(6):
            yield call(b"MeterValues", _METER_16 % (number, next(clock), wh + step))
        yield call(b"StopTransaction", _STOP_16 % (number, TOKEN.encode(), wh + 7, next(clock)))
        yield call(b"StatusNotification", _STATUS_16 % (b"Available", next(clock)))
        yield call(b"Heartbeat", b"{}")


def billing_16() -> Talk:
    """Transaction messages only: a start, eight MeterValues, a stop."""
    clock = _clock()
    for wh in count(0, 10):
        number = transaction_id((yield call(b"StartTransaction", _START_16 % (TOKEN.encode(), wh, next(clock)))))
        for step in range(8):
            yield call(b"MeterValues", _METER_16 % (number, next(clock), wh + step))
        yield call(b"StopTransaction", _STOP_16 % (number, TOKEN.encode(), wh + 9, next(clock)))


# 2.0.1

BOOT_201 = (
    b'{"reason":"PowerUp","chargingStation":{"vendorName":"Benchmark","model":"DC 180","serialNumber":"B-0001",'
    b'"firmwareVersion":"1.4.2","modem":{"iccid":"89860000000000000001","imsi":"460000000000001"}}}'
)
_STATUS_201 = b'{"timestamp":"%b","connectorStatus":"%b","evseId":1,"connectorId":1}'
_METER_201 = (
    b'[{"timestamp":"%b","sampledValue":['
    b'{"value":%d.5,"context":"%b","measurand":"Energy.Active.Import.Register","unitOfMeasure":{"unit":"Wh"}},'
    b'{"value":59870.0,"context":"%b","measurand":"Power.Active.Import","unitOfMeasure":{"unit":"W"}},'
    b'{"value":148.2,"context":"%b","measurand":"Current.Import","unitOfMeasure":{"unit":"A"}},'
    b'{"value":54,"context":"%b","measurand":"SoC","unitOfMeasure":{"unit":"Percent"}}]}]'
)
_STARTED = (
    b'{"eventType":"Started","timestamp":"%b","triggerReason":"Authorized","seqNo":0,"transactionInfo":'
    b'{"transactionId":"%b","chargingState":"Charging"},"idToken":{"idToken":"%b","type":"ISO14443"},'
    b'"evse":{"id":1,"connectorId":1},"meterValue":%b}'
)
_UPDATED = (
    b'{"eventType":"Updated","timestamp":"%b","triggerReason":"MeterValuePeriodic","seqNo":%d,"transactionInfo":'
    b'{"transactionId":"%b","chargingState":"Charging"},"meterValue":%b}'
)
_ENDED = (
    b'{"eventType":"Ended","timestamp":"%b","triggerReason":"StopAuthorized","seqNo":%d,"transactionInfo":'
    b'{"transactionId":"%b","chargingState":"EVConnected","stoppedReason":"Local"},"meterValue":%b}'
)


def _metered_201(now: bytes, wh: int, context: bytes) -> bytes:
    return _METER_201 % (now, wh, context, context, context, context)


def _started(now: bytes, name: bytes, wh: int) -> bytes:
    meter = _metered_201(now, wh, b"Transaction.Begin")
    return call(b"TransactionEvent", _STARTED % (now, name, TOKEN.encode(), meter))


def _updated(now: bytes, name: bytes, seq_no: int, wh: int) -> bytes:
    return call(b"TransactionEvent", _UPDATED % (now, seq_no, name, _metered_201(now, wh, b"Sample.Periodic")))


def _ended(now: bytes, name: bytes, seq_no: int, wh: int) -> bytes:
    return call(b"TransactionEvent", _ENDED % (now, seq_no, name, _metered_201(now, wh, b"Transaction.End")))


def _name() -> bytes:
    return b"b5e4-%030d" % next(_ids)


def boots_201() -> Talk:
    while True:
        yield call(b"BootNotification", BOOT_201)


def statuses_201() -> Talk:
    for status, now in zip(cycle((b"Occupied", b"Available")), _clock(), strict=False):
        yield call(b"StatusNotification", _STATUS_201 % (now, status))


def updates_201() -> Talk:
    """One transaction that is never ended."""
    clock, name = _clock(), _name()
    yield _started(next(clock), name, 0)
    for seq_no in count(1):
        yield _updated(next(clock), name, seq_no, seq_no)


def transactions_201() -> Talk:
    """Started and Ended, nothing between."""
    clock = _clock()
    while True:
        name = _name()
        yield _started(next(clock), name, 0)
        yield _ended(next(clock), name, 1, 1)


def events_201() -> Talk:
    """Of ten events one Started, eight Updated, one Ended."""
    clock = _clock()
    while True:
        name = _name()
        yield _started(next(clock), name, 0)
        for seq_no in range(1, 9):
            yield _updated(next(clock), name, seq_no, seq_no)
        yield _ended(next(clock), name, 9, 9)


@dataclass(frozen=True)
class Version:
    """How a station of one OCPP version introduces itself."""

    name: str
    subprotocol: str
    boot: bytes


V16 = Version("1.6", "ocpp1.6", BOOT_16)
V201 = Version("2.0.1", "ocpp2.0.1", BOOT_201)


@dataclass(frozen=True)
class Kind:
    """One line of the table: what is said, and the budget against the baseline (architecture 7), if there is one."""

    name: str
    version: Version
    talk: Callable[[], Talk]
    budget: float | None = None


SATURATED = (
    Kind("1.6 Heartbeat", V16, heartbeats, 6),
    Kind("1.6 BootNotification", V16, boots_16),
    Kind("1.6 StatusNotification", V16, statuses_16, 5),
    Kind("1.6 MeterValues", V16, meter_values_16, 7),
    Kind("1.6 Start and StopTransaction", V16, transactions_16),
    Kind("2.0.1 Heartbeat", V201, heartbeats, 6),
    Kind("2.0.1 BootNotification", V201, boots_201),
    Kind("2.0.1 StatusNotification", V201, statuses_201, 5),
    Kind("2.0.1 TransactionEvent Updated", V201, updates_201, 7),
    Kind("2.0.1 TransactionEvent Started, Ended", V201, transactions_201),
    Kind("2.0.1 TransactionEvent 1:8:1", V201, events_201, 7),
)
