"""Messages of transactions in any order: permuted, late, lost for good, repeated, across restarts of the server.

Whatever happens on the way, the session ends as it does when everything comes once and in order. `CSMS_ORDER_SEEDS`
says for how many seeds that is shown (200 if left out), `CSMS_ORDER_FROM` with which to begin.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

import csms.blocks  # noqa: F401  Registers the handlers.
from csms.blocks.dispatch import Context, Policy, answer
from csms.ocpp.catalogue import Version
from csms.ocpp.frames import Call
from csms.storage import admin
from csms.storage.database import Database, open_database
from csms.storage.records import Records, open_records
from csms.storage.rows import session_from
from csms.storage.tables import samples, sessions
from tests.blocks.conversation import NOON, stamp

pytestmark = [pytest.mark.fuzz, pytest.mark.disk]

SEEDS = int(os.environ.get("CSMS_ORDER_SEEDS", "200"))
FIRST = int(os.environ.get("CSMS_ORDER_FROM", "0"))
RESTARTS_EVERY = 10  # Seeds that share a run of the database: so many restart it in their midst.

# What may differ: our own number, when it arrived, and how a start is recognised that did not come first.
_OURS = ("id", "received_at", "start_key", "last_digest")


@dataclass
class Message:
    action: str
    payload: dict[str, Any]
    minute: float  # When the station made it, after noon.
    needs: int | None = None  # 1.6: the start whose answer gives its transaction id.
    start: int | None = None  # 1.6: it is that start.


@dataclass
class Story:
    """What a station has to tell, in order."""

    version: Version
    messages: list[Message] = field(default_factory=list)


def story(random: Random) -> Story:
    made = Story(random.choice((Version.V16, Version.V201)))
    tell = _tell_16 if made.version is Version.V16 else _tell_201
    minute = 0.0
    for number in range(random.choice((1, 1, 2))):
        minute = tell(random, made.messages, number, minute)
        minute += random.choice((1, 30)) if random.random() < 0.7 else -5  # At another place, while the first goes on.
    made.messages.sort(key=lambda message: message.minute)
    lost = {id(m) for m in made.messages if _may_be_lost(m) and random.random() < 0.15}
    made.messages = [message for message in made.messages if id(message) not in lost]
    return made


def _may_be_lost(message: Message) -> bool:
    return message.action == "MeterValues" or message.payload.get("eventType") == "Updated"


def _tell_16(random: Random, out: list[Message], number: int, minute: float) -> float:
    energy, place = random.randrange(100_000), number + 1
    start = {
        "connectorId": place,
        "idTag": random.choice(("GOOD", "BAD")),
        "meterStart": energy,
        "timestamp": stamp(minute),
    }
    out.append(Message("StartTransaction", start, minute, start=number))
    for _ in range(random.randrange(6)):
        minute += random.choice((1, 1, 5))
        energy += random.randrange(2000)
        values = [
            {
                "value": str(energy),
                "context": "Sample.Periodic",
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            }
        ]
        if random.random() < 0.5:
            values.append({"value": str(random.randrange(50_000)), "measurand": "Power.Active.Import", "unit": "W"})
        meter = {"connectorId": place, "meterValue": [{"timestamp": stamp(minute), "sampledValue": values}]}
        out.append(Message("MeterValues", meter, minute, needs=number))
    minute += 1
    stop: dict[str, Any] = {"meterStop": energy + random.randrange(500), "timestamp": stamp(minute)}
    if random.random() < 0.5:
        stop["idTag"] = "GOOD"
    if random.random() < 0.5:
        stop["reason"] = random.choice(("Remote", "EVDisconnected", "PowerLoss"))
    if random.random() < 0.3:
        begin = {"timestamp": stamp(minute), "sampledValue": [{"value": str(energy), "context": "Transaction.End"}]}
        stop["transactionData"] = [begin]
    out.append(Message("StopTransaction", stop, minute, needs=number))
    return minute


def _tell_201(random: Random, out: list[Message], number: int, minute: float) -> float:
    seq, energy, transaction = random.choice((0, 0, 7)), random.randrange(100_000), f"tx-{number}"

    def event(
        kind: str, trigger: str, *, token: str | None = None, evse: bool = False, meter: str | None = None, **info: Any
    ) -> None:
        nonlocal seq
        said: dict[str, Any] = {
            "eventType": kind, "timestamp": stamp(minute), "triggerReason": trigger, "seqNo": seq,
            "transactionInfo": {"transactionId": transaction} | info, "offline": random.random() < 0.2,
        }  # fmt: skip
        if token:
            said["idToken"] = {"idToken": token, "type": "Central"}
        if evse:
            said["evse"] = {"id": number + 1, "connectorId": 1}
        if meter:
            sampled = [{"value": energy, "context": meter}]
            if random.random() < 0.4:
                sampled.append({"value": random.randrange(50_000), "measurand": "Power.Active.Import"})
            said["meterValue"] = [{"timestamp": stamp(minute), "sampledValue": sampled}]
        out.append(Message("TransactionEvent", said, minute))
        seq += 1

    begins = random.random() < 0.5
    event(
        "Started",
        "CablePluggedIn",
        token="GOOD" if begins else None,
        evse=True,
        meter="Transaction.Begin" if random.random() < 0.7 else None,
    )
    if not begins:
        minute += 1
        event("Updated", "Authorized", token=random.choice(("GOOD", "BAD")))
    for _ in range(random.randrange(6)):
        minute += random.choice((1, 1, 5))
        energy += random.randrange(2000)
        state = random.choice((None, "Charging", "SuspendedEV", "Idle"))
        event(
            "Updated",
            "MeterValuePeriodic",
            evse=random.random() < 0.3,
            meter="Sample.Periodic",
            **({"chargingState": state} if state else {}),
        )
    minute += 1
    if random.random() < 0.3:
        event("Updated", "StopAuthorized", token="OTHER")
        minute += 1
    event("Ended", "StopAuthorized", token=random.choice((None, "OTHER")), meter="Transaction.End" if random.random() < 0.7 else None,
          **({"stoppedReason": "Remote"} if random.random() < 0.5 else {}))  # fmt: skip
    return minute


def disturbed(random: Random, told: Story) -> list[Message]:
    """The same messages as the network may bring them."""
    out = list(told.messages)
    match random.randrange(4):
        case 0:
            random.shuffle(out)
        case 1:  # Some come late.
            out.sort(key=lambda message: message.minute + (random.random() < 0.3) * random.randrange(60))
        case 2:  # Two queues, one of what was kept offline.
            out.sort(key=lambda message: random.random() < 0.5)
        case _:
            pass
    for message in list(out):
        while random.random() < 0.25:
            out.insert(random.randrange(len(out) + 1), message)
    starts = [message for message in out if message.start is not None]
    # 1.6: without the answer to its start a station cannot name a transaction; the rest comes in any order.
    for first in {message.start: message for message in reversed(starts)}.values():
        out.remove(first)
        out.insert(0, first)
    # … and starts at the same place come in the order they were made: the station asks them one by one.
    return out


class Central:
    """A central system on a database file that can be restarted."""

    def __init__(self, path: Path):
        self.path = path
        self.database: Database
        self.records: Records
        self.policy = Policy(random=lambda: 0.5)

    async def start(self) -> None:
        self.database = await open_database(f"sqlite:///{self.path}", synchronous="OFF")
        self.records = await open_records(self.database, NOON)

    async def restart(self) -> None:
        await self.database.close()
        await self.start()

    async def prepare(self, *stations: str) -> None:
        operator = await self.database.writer.run(admin.ensure_operator("default"))
        for identity in stations:
            await self.database.writer.run(admin.put_station(operator, identity, {"registration": "accepted"}, NOON))
        for token, status in (("GOOD", "accepted"), ("OTHER", "accepted"), ("BAD", "blocked")):
            await self.database.writer.run(admin.put_token(operator, token, {"status": status, "group": "G"}, NOON))

    async def run(self, identity: str, version: Version, messages: list[Message], random: Random | None) -> None:
        """Let a station send these; with `random`, connections break and the server starts anew in between."""
        ids: dict[int, int] = {}
        station = None
        restart_at = (
            random.randrange(len(messages)) if random is not None and random.random() < 1 / RESTARTS_EVERY else -1
        )
        for place, message in enumerate(messages):
            if place == restart_at:
                await self.restart()
                station = None
            if station is None or (random is not None and random.random() < 0.1):  # It comes back.
                known = await self.records.known("default", identity)
                station = await self.records.station(known)
            payload = message.payload
            if message.needs is not None:
                payload = payload | {"transactionId": ids[message.needs]}
            now = NOON + timedelta(hours=3, seconds=place)
            ctx = Context(station, version, now, self.records, self.policy)
            raw = msgspec.Raw(json.dumps(payload).encode())
            frame = json.loads(await answer(Call("1", message.action, raw), ctx))
            assert frame[0] == 3, frame
            if ctx.work is not None:
                await self.records.commit(ctx.work)
                ctx.work.apply()
            if message.start is not None:
                ids.setdefault(message.start, frame[2]["transactionId"])
                assert ids[message.start] == frame[2]["transactionId"], "the same start, the same transaction"

    async def outcome(self, identity: str) -> list[dict[str, Any]]:
        known = await self.records.known("default", identity)
        async with self.database.reader.connect() as connection:
            rows = (await connection.execute(sessions.select().where(sessions.c.station_id == known.id))).all()
            stored = (await connection.execute(samples.select().where(samples.c.station_id == known.id))).all()
        found = []
        for row in rows:
            session = session_from(row)
            told = msgspec.structs.asdict(session) | {"energy_wh": session.energy_wh, "complete": session.complete}
            readings = [(each.sampled_at, each.readings) for each in stored if each.session_id == session.id]
            told |= {"flags": sorted(session.flags), "samples": sorted(readings, key=repr), "energy_row": row.energy_wh}
            found.append({name: value for name, value in told.items() if name not in _OURS})
            if session.version == "1.6":
                del found[-1]["transaction_id"]  # Ours, too: by the order in which starts arrive.
        return sorted(found, key=lambda each: each["evse_id"] or 0)


async def test_session_is_the_same_whatever_happens_on_the_way(migrated: Path, tmp_path: Path):
    central = Central(Path(shutil.copy(migrated, tmp_path / "order.db")))
    await central.start()
    try:
        for seed in range(FIRST, FIRST + SEEDS):
            await _shown(central, seed)
    finally:
        await central.database.close()


async def _shown(central: Central, seed: int) -> None:
    random = Random(seed)
    told = story(random)
    ordered, other = f"in-order-{seed}", f"disturbed-{seed}"
    await central.prepare(ordered, other)
    await central.run(ordered, told.version, told.messages, None)
    brought = disturbed(random, told)
    await central.run(other, told.version, brought, random)
    expected, found = await central.outcome(ordered), await central.outcome(other)
    assert found == expected, _told(seed, brought, expected, found)


def _told(seed: int, brought: list[Message], expected: list[dict], found: list[dict]) -> str:
    lines = [f"seed {seed}: CSMS_ORDER_FROM={seed} CSMS_ORDER_SEEDS=1 shows it again"]
    lines += [f"  {message.minute:5} {message.action} {json.dumps(message.payload)}" for message in brought]
    for mine, theirs in zip(expected, found, strict=False):
        lines += [f"  {name}: in order {mine[name]}, so {theirs[name]}" for name in mine if mine[name] != theirs[name]]
    return "\n".join(lines)
