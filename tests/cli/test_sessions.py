"""`csms session …`, with a station that a thread plays."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.sync.client import connect

from csms.cli.sessions import _told

HOSTILE = "Broken\x1b[31m[red]"


class Station:
    """Boots, then answers what it is asked by `reply` (an object: CALLRESULT; a list: CALLERROR)."""

    def __init__(self, url: str, identity: str, version: str, reply: Callable[[str, dict[str, Any]], Any]):
        url = url.replace("<station>", identity)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._reply = reply
        self._stack = ExitStack()
        opening = connect(url, subprotocols=[f"ocpp{version}"], compression=None, ping_interval=None)
        self._socket = self._stack.enter_context(opening)
        about: dict[str, Any] = {"chargePointVendor": HOSTILE, "chargePointModel": "M"}
        if version != "1.6":
            about = {"reason": "PowerUp", "chargingStation": {"vendorName": HOSTILE, "model": "M"}}
        assert self.call("BootNotification", about)["status"] == "Accepted"
        self._thread = threading.Thread(target=self._answer)

    def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        self._socket.send(json.dumps([2, action, action, payload]))
        return json.loads(self._socket.recv(timeout=5))[2]

    def listen(self) -> Station:
        self._thread.start()
        return self

    def _answer(self) -> None:
        for message in self._socket:
            _, message_id, action, payload = json.loads(message)
            self.asked.append((action, payload))
            reply = self._reply(action, payload)
            error = isinstance(reply, list)
            self._socket.send(json.dumps([4, message_id, *reply] if error else [3, message_id, reply]))

    def close(self) -> None:
        self._stack.close()
        if self._thread.ident is not None:
            self._thread.join(5)


@pytest.fixture
def plugged(served) -> Iterator[Callable[..., Station]]:
    """A station of a new identity that is connected to the running server."""
    stations: list[Station] = []

    def plugged(identity: str, reply: Any, version: str = "1.6") -> Station:
        served("station", "add", identity, "--no-password")
        answer = reply if callable(reply) else lambda action, payload: reply
        stations.append(Station(served.said("Stations:"), identity, version, answer))
        return stations[-1]

    yield plugged
    for station in stations:
        station.close()


def accepted(action: str, payload: dict[str, Any]) -> dict[str, str]:
    return {"status": "Accepted"}


@pytest.mark.journey
@pytest.mark.parametrize(
    ("version", "action"), [("1.6", "RemoteStartTransaction"), ("2.0.1", "RequestStartTransaction")]
)
def test_station_that_agrees_is_told(served, plugged, version, action):
    station = plugged(f"YES-{version}", accepted, version).listen()
    served("token", "add", "TAG")
    told = served("session", "start", f"YES-{version}", "TAG", "--evse", "1").stdout
    assert told == f"YES-{version} accepted {action}.\n"
    assert [asked for asked, _ in station.asked] == [action]
    outcome = served.json("session", "start", f"YES-{version}", "TAG")
    assert (outcome["status"], outcome["accepted"]) == ("answered", True)


@pytest.mark.journey
def test_session_is_stopped_and_shown(served, plugged):
    station = plugged("STOP", accepted)
    served("token", "add", "TAG")
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-05-04T12:00:00Z"}
    number = station.call("StartTransaction", start)["transactionId"]
    station.listen()
    [session] = served.json("session", "list", "--station", "STOP", "--status", "active")
    assert "accepted RemoteStopTransaction" in served("session", "stop", str(session["id"])).stdout
    assert station.asked == [("RemoteStopTransaction", {"transactionId": number})]
    told = served("session", "show", str(session["id"])).stdout
    assert "station_transaction_id" in told and told.endswith("No readings.\n")
    assert served.json("session", "show", str(session["id"]))["samples"] == []


@pytest.mark.journey
def test_refusal_and_errors_of_the_station_are_told_harmlessly(served, plugged):
    served("token", "add", "TAG")
    plugged("NO", {"status": "Rejected"}).listen()
    told = served("session", "start", "NO", "TAG", status=1).stdout
    assert told == "NO refused RemoteStartTransaction: Rejected.\n"
    plugged("ERR", [HOSTILE, HOSTILE, {}]).listen()
    told = served("session", "start", "ERR", "TAG", status=1).stdout
    assert "answered RemoteStartTransaction with an error: Broken" in told
    assert "\x1b" not in told
    shown = served("station", "list").stdout + served("station", "show", "ERR").stdout
    assert "Broken\ufffd[31m[red]" in shown
    assert "\x1b" not in shown


@pytest.mark.journey
def test_silence_is_told_with_what_to_look_at(served, plugged):
    plugged("MUTE", accepted)  # Does not listen.
    served("token", "add", "TAG")
    told = served("session", "start", "MUTE", "TAG", "--wait", "0.1", status=1).stdout
    assert "has not answered RemoteStartTransaction yet: it may still take effect" in told


def test_offline_station_is_told_as_an_outcome(served):
    served("station", "add", "OFF", "--no-password")
    served("token", "add", "TAG")
    told = served("session", "start", "OFF", "TAG", status=1).stdout
    assert told.startswith("OFF is not connected; nothing was sent.")
    outcome = served.json("session", "start", "OFF", "TAG", status=1)
    assert (outcome["status"], outcome["accepted"]) == ("offline", None)


def test_what_the_server_refuses_is_an_error(served):
    served("station", "add", "OFF", "--no-password")
    assert "csms token add NOBODY" in served.fails("session", "start", "OFF", "NOBODY")
    assert "no station 'NOWHERE'" in served.fails("session", "start", "NOWHERE", "TAG")
    for command in ("show", "stop"):
        assert "no session 7" in served.fails("session", command, "7")
        assert served.json("session", command, "7", status=1)["error"]["status"] == 404


def test_conflict_without_a_command_is_an_error_for_people_and_programs(served, plugged_closed_session):
    assert "has ended already" in served.fails("session", "stop", plugged_closed_session)
    assert served.json("session", "stop", plugged_closed_session, status=1)["error"]["status"] == 409


@pytest.fixture
def plugged_closed_session(served, plugged) -> str:
    station = plugged("DONE", accepted)
    served("token", "add", "TAG")
    time = "2026-05-04T12:00:00Z"
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": time}
    number = station.call("StartTransaction", start)["transactionId"]
    station.call("StopTransaction", {"transactionId": number, "meterStop": 9, "timestamp": time})
    return str(served.json("session", "list", "--station", "DONE")[0]["id"])


def test_no_sessions_are_told_kindly(served):
    assert served("session", "list", "--station", "NOWHERE").stdout == "No sessions yet.\n"
    assert served.json("session", "list", "--station", "NOWHERE") == []
    assert "query.status" in served.fails("session", "list", "--status", "open")


def test_sessions_are_listed_for_people(served, plugged_closed_session):
    told = served("session", "list", "--station", "DONE", "--status", "closed").stdout
    assert told.startswith("SESSION")
    assert plugged_closed_session in told and "0.01 kWh" in told


@pytest.mark.parametrize(
    ("status", "words"),
    [("timeout", "(timeout): it may have taken effect"), ("unknown", "(unknown)"), ("offline", "is not connected")],
)
def test_every_outcome_is_told(status, words):
    outcome = {"station": "CS-1", "action": "Reset", "status": status, "accepted": None}
    assert words in _told(outcome)
