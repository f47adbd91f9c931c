"""`csms station …`"""

from __future__ import annotations

import json
import stat

import pytest
from websockets.sync.client import connect


def test_added_station_is_told_how_to_connect_and_its_password_once(served):
    told = served("station", "add", "NEW 1").stdout
    assert "…/ocpp/NEW%201" in told
    assert "User name: NEW 1\nPassword:  " in told
    password = told.split("Password:  ")[1].split()[0]
    assert len(password) == 20
    assert "Password" not in served("station", "add", "NEW 1").stdout
    assert password not in served("station", "show", "NEW 1").stdout


def test_station_of_an_operator_has_its_own_path(served):
    assert "…/ocpp/north/N-1" in served("station", "add", "N-1", "--operator", "north").stdout
    assert served.json("station", "show", "N-1", "--operator", "north")["operator"] == "north"
    assert [row["id"] for row in served.json("station", "list", "--operator", "north")] == ["N-1"]


def test_station_may_go_without_credentials(served):
    assert "trusted networks only" in served("station", "add", "OPEN", "--no-password").stdout
    assert served.json("station", "show", "OPEN")["has_password"] is False


def test_options_of_add_arrive(served):
    added = served.json("station", "add", "OPT", "--password", "correct-horse", "--admission", "pending", "--strict")
    assert (added["password"], added["has_password"], added["admission"], added["strict"]) == (
        None,
        True,
        "pending",
        True,
    )


@pytest.mark.parametrize(
    "wrong", [("--version", "3"), ("--password", "correct-horse", "--no-password")], ids=["version", "both"]
)
def test_wrong_options_of_add_are_usage_errors(served, wrong):
    assert "Usage" in served("station", "add", "X", *wrong, status=2).stderr


@pytest.mark.parametrize(
    "wrong",
    [("a:b",), ("x" * 49,), ("X", "--password", "short"), ("X", "--admission", "maybe"), ("X", "--operator", "a/b")],
)
def test_what_the_server_refuses_is_told_with_its_advice(served, wrong):
    assert "Error: " in served.fails("station", "add", *wrong)
    assert served.json("station", "add", *wrong, status=1)["error"]["status"] == 422


def test_unknown_station_is_an_error(served):
    assert "no station 'NOBODY'" in served.fails("station", "show", "NOBODY")
    assert served.json("station", "show", "NOBODY", status=1)["error"]["status"] == 404


def test_station_is_shown_with_its_connectors(served):
    served("station", "add", "SHOWN", "--no-password")
    told = served("station", "show", "SHOWN").stdout
    assert "has_password" in told and "no" in told
    assert "It has not reported any connector yet." in told


def test_history_tells_what_changed_and_when(served):
    served("station", "add", "PAST", "--no-password")
    assert served("station", "history", "PAST").stdout.strip() == "Nothing is on record."
    with connect(served.said("Stations:").replace("<station>", "PAST"), subprotocols=["ocpp1.6"]) as socket:
        status = {"connectorId": 1, "errorCode": "GroundFailure", "status": "Faulted"}
        socket.send(json.dumps([2, "1", "StatusNotification", status]))
        socket.recv(timeout=5)
    found = served.json("station", "history", "PAST", "--evse", "1")
    assert [(row["status"], row["error_code"]) for row in found] == [("faulted", "GroundFailure")]
    assert "GroundFailure" in served("station", "history", "PAST", "--limit", "5").stdout
    assert served.json("station", "history", "PAST", "--until", "2020-01-01T00:00:00Z") == []


def test_listing_is_a_table(served):
    served("station", "add", "LISTED", "--no-password", "--operator", "table")
    told = served("station", "list", "--offline", "--operator", "table").stdout
    assert told.startswith("STATION")
    assert any(line.startswith("LISTED") for line in told.splitlines())
    assert (
        served("station", "list", "--online", "--operator", "table").stdout.strip()
        == "No stations yet. Add one: csms station add ID"
    )


@pytest.mark.journey
def test_listing_goes_on_over_many_pages(served, tmp_path):
    file = tmp_path / "stations.ndjson"
    file.write_text(
        "\n".join(f'{{"id":"P-{number}","password":null}}' for number in range(1100))
    )  # More than a request brings, or a page.
    report = served.json("station", "import", str(file), "--operator", "pages")
    assert report == {"created": 1100, "updated": 0}
    assert len(served.json("station", "list", "--operator", "pages", "--limit", "5000")) == 1100
    assert len(served.json("station", "list", "--operator", "pages", "--limit", "1050")) == 1050
    assert "0 stations added, 1100 changed." in served("station", "import", str(file), "--operator", "pages").stdout


def test_generated_passwords_go_to_a_file_for_its_owner_alone(served, tmp_path):
    file, passwords = tmp_path / "stations.ndjson", tmp_path / "passwords.ndjson"
    file.write_text('{"id":"G-1"}\n\n{"id":"G-2","password":"correct-horse"}\n')
    assert "2 stations added" in served("station", "import", str(file), "--passwords", str(passwords)).stdout
    [line] = passwords.read_text().splitlines()
    assert json.loads(line)["station"] == "G-1" and len(json.loads(line)["password"]) == 20
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600


@pytest.mark.parametrize("passwords", [None, "missing/passwords.ndjson"])
def test_nothing_is_imported_whose_password_could_not_be_told(served, tmp_path, passwords):
    file = tmp_path / "stations.ndjson"
    file.write_text('{"id":"H-1"}\n')
    options = ("--passwords", str(tmp_path / passwords)) if passwords else ()
    assert "Nothing was imported" in served.fails("station", "import", str(file), *options)
    served("station", "show", "H-1", status=1)


def test_bad_line_is_named_and_nothing_is_imported(served, tmp_path):
    file = tmp_path / "stations.ndjson"
    file.write_text('{"id":"I-1","password":null}\n{"id":"a:b","password":null}\n')
    told = served.fails("station", "import", str(file))
    assert "Line 2" in told and "(lines 1 to 2; 0 lines are in)" in told
    assert "Line 2" in served.json("station", "import", str(file), status=1)["error"]["detail"]
    served("station", "show", "I-1", status=1)


def test_missing_file_is_a_usage_error(served, tmp_path):
    assert "there is no file" in served("station", "import", str(tmp_path / "none"), status=2).stderr
