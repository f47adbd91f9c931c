"""`csms doctor`: every finding with its remedy."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections import namedtuple

import asyncpg
import pytest

from csms.app import control_path
from csms.cli.doctor import examine
from csms.settings import Settings
from tests.postgres import Postgres
from tests.postgres import database as fresh


@pytest.fixture
def look(database_path):
    """Findings by subject; ports are free unless told otherwise."""

    def look(**changes):
        given = {"database_url": f"sqlite:///{database_path}", "ocpp_port": 0, "http_port": 0} | changes
        return {(found.subject, found.level): found.message for found in examine(Settings(**given))}

    return look


def test_sound_system_has_no_errors(look):
    found = look()
    assert {level for _, level in found} == {"ok"}
    assert "is sound, schema 0" in found["database", "ok"]
    assert found["server", "ok"] == "no server runs on this database"
    assert "Python" in found["python", "ok"]


def test_missing_database_is_made_by_the_first_run(look, tmp_path):
    found = look(database_url=f"sqlite:///{tmp_path}/a/b/csms.db")
    assert "the first run makes it" in found["database", "ok"]
    assert not (tmp_path / "a").exists()


def test_damaged_database_is_found(look, database_path):
    database_path.write_bytes(b"this is no database" * 1000)
    assert "Restore it from a backup" in look()["database", "error"]


def test_damaged_page_is_found(look, database_path):
    content = bytearray(database_path.read_bytes())
    content[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    database_path.write_bytes(content)
    assert "Restore it from a backup" in look()["database", "error"]


def test_database_that_was_never_migrated_is_told(look, tmp_path):
    (tmp_path / "empty.db").touch()
    assert "Restore" in look(database_url=f"sqlite:///{tmp_path}/empty.db")["database", "error"]


def test_odd_path_is_looked_at_as_it_is(look, database_path, tmp_path):
    shutil.copy(database_path, tmp_path / "a b%#1?.db")
    assert "is sound" in look(database_url=f"sqlite:///{tmp_path}/a b%25#1%3F.db")["database", "ok"]


def test_place_that_cannot_be_written_to_is_found(look):
    assert "choose another CSMS_DATABASE_URL" in look(database_url="sqlite:////dev/null/csms.db")["database", "error"]


def test_other_databases_are_named(look):
    assert "not in mysql" in look(database_url="mysql://host/db")["database", "error"]


def test_postgresql_that_is_not_there_is_found(look):
    assert "cannot be reached" in look(database_url="postgresql://127.0.0.1:1/db")["database", "error"]


@pytest.fixture
def nodes(postgres: Postgres):
    """A PostgreSQL database on which so many nodes live, beside one that is lost and one whose lease has run out."""

    async def made(living: int) -> str:
        url = await fresh(postgres)
        connection = await asyncpg.connect(url)
        later = 2**62  # µs
        await connection.executemany(
            "INSERT INTO nodes (name, alive_until, lost_at) VALUES ('node', $1, $2)",
            [(later, None)] * living + [(later, 1), (1, None)],
        )
        await connection.close()
        return url

    return lambda living: asyncio.run(made(living))


def test_nodes_without_a_broker_are_found(look, nodes):
    told = look(database_url=nodes(2))["nodes", "error"]
    assert "2 nodes share this database without a broker" in told and "Set the same CSMS_MQTT_URL on every node" in told


def test_workers_without_a_broker_are_found(look, nodes):
    assert "3 nodes share" in look(database_url=nodes(0), workers=3)["nodes", "error"]


def test_nodes_with_a_broker_are_counted(look, nodes):
    assert look(database_url=nodes(2), mqtt_url="mqtt://broker")["nodes", "ok"].startswith("2 live")


def test_single_node_needs_no_broker_but_is_told_of_it(look, nodes):
    told = look(database_url=nodes(1))["nodes", "ok"]
    assert told.startswith("1 live") and "CSMS_MQTT_URL" in told


def test_postgresql_before_the_first_run_has_no_nodes(look, postgres: Postgres):
    assert look(database_url=postgres.url())["nodes", "ok"].startswith("0 live")


def test_full_disk_is_a_warning(look, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    assert "free some" in look()["disk", "warning"]


@pytest.mark.parametrize("name", ["ocpp", "http"])
def test_port_in_use_is_found(look, name):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        found = look(**{f"{name}_port": other.getsockname()[1]})
    assert f"choose another CSMS_{name.upper()}_PORT" in found[name, "error"]


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_host_that_is_not_ours_is_found(look, host):
    assert "cannot listen on" in look(ocpp_host=host)["ocpp", "error"]


def test_ipv6_can_be_looked_at(look):
    assert look(http_host="::1")["http", "ok"] == "port 0 is free"


@pytest.mark.parametrize("name", ["ocpp", "http"])
def test_listening_beyond_this_machine_is_a_warning(look, name):
    assert "TLS proxy" in look(**{f"{name}_host": "0.0.0.0"})[name, "warning"]


def test_open_registration_is_a_warning(look):
    assert "CSMS_REGISTRATION=closed" in look(registration="open")["registration", "warning"]


def test_broker_is_named_without_its_password(look):
    assert look(mqtt_url="mqtts://user:hidden@broker")["mqtt", "ok"] == "events go to broker:8883"
    assert "CSMS_MQTT_URL" in look(mqtt_url="http://user:hidden@broker")["mqtt", "error"]
    assert not any("hidden" in message for message in look(mqtt_url="http://user:hidden@broker").values())


def test_running_server_is_asked(served, monkeypatch):
    settings = Settings(database_url=f"sqlite:///{served.database}")
    found = {finding.subject: finding.message for finding in examine(settings)}
    assert found["server"] == "the server runs and is ready"
    assert "ocpp" not in found  # Its own ports are not «taken».


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"ready": false, "reason": "nothing can be stored"}', "not ready: nothing can be stored"),
        (b"", "does not answer"),
    ],
)
def test_server_that_is_not_well_is_an_error(look, database_path, answer, words):
    def serve() -> None:
        for _ in range(2):  # One to knock, one to ask.
            connection, _ = listener.accept()
            with connection:
                if connection.recv(4096):
                    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(answer)}\r\n\r\n"
                    connection.sendall(head.encode() + answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(control_path(database_path)))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        found = look()
        thread.join(5)
    assert words in found["server", "error"]


def test_socket_of_a_killed_server_is_no_server(look, database_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(control_path(database_path)))
    assert look()["server", "ok"] == "no server runs on this database"
