"""The command line's way in: the running server, one elsewhere, or this process."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from csms.app import control_path
from csms.storage.database import lock_database

pytestmark = pytest.mark.journey


def test_without_a_server_the_command_opens_the_database_itself(cli):
    assert "Password" in cli("station", "add", "CS-1").stdout
    assert [row["id"] for row in cli.json("station", "list")] == ["CS-1"]


def test_with_a_server_the_command_goes_through_its_control_socket(served):
    assert control_path(served.database).exists()
    served("token", "add", "SOCKET")
    assert "SOCKET" in served("token", "list").stdout


def test_locked_database_whose_server_cannot_be_reached_says_who_holds_it(cli):
    lock = lock_database(cli.database)
    try:
        told = cli.fails("station", "list")
    finally:
        lock.close()
    assert "in use by process" in told
    assert "are you the user the server runs as?" in told


def test_control_socket_left_by_a_killed_server_is_no_obstacle(cli):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(control_path(cli.database)))
    assert cli.json("station", "list") == []


# A server elsewhere


def test_server_elsewhere_wants_its_key(served):
    url, key = served.said("API:").split("/api")[0], served.said("Admin API key, shown only this once:")
    assert isinstance(served.json("station", "list", "--server", url, env={"CSMS_ADMIN_KEY": key}), list)
    assert "Authorization: Bearer" in served.fails("station", "list", "--server", url)
    problem = served.json("station", "list", "--server", url, status=1)["error"]
    assert (problem["status"], problem["title"]) == (401, "Unauthorized")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[::1", "ftp://x"])
def test_server_that_cannot_be_reached_is_told(cli, url):
    told = cli.fails("station", "list", "--server", url)
    assert "Is it running?" in told or "Write for example" in told


@contextmanager
def somebody(status: int, body: bytes) -> Iterator[str]:
    """Another program that speaks HTTP."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "no csms server"), (502, b"<html>", "502 Bad Gateway"), (500, b"[]", "500"), (404, b"{}", "404"),
        (302, b"", "302"), (400, b'{"detail": "Do this."}', "Do this."), (500, b"\xff", "500"),
    ],
)  # fmt: skip
def test_answer_of_something_else_is_told_for_what_it_is(cli, status, body, words):
    with somebody(status, body) as url:
        assert words in cli.fails("station", "list", "--server", url)


# Settings and databases that cannot be used


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CSMS_DATABASE_URL": "postgresql://user:pw@127.0.0.1:1/db"}, "user:***@"), ({"CSMS_DATABASE_URL": "x"}, "sqlite:///"),
        ({"CSMS_DATABASE_URL": "sqlite://"}, "must be a file"), ({"CSMS_OCPP_PORT": "x"}, "CSMS_OCPP_PORT"),
        ({"CSMS_CONFIG": "none.toml"}, "Copy config/csms.toml"), ({"CSMS_SECRET_KEY": "short"}, "at least 16"),
        ({"CSMS_DATABASE_URL": "sqlite:////dev/null/csms.db"}, "Choose another CSMS_DATABASE_URL"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_with_its_remedy(cli, environment, words):
    assert words in cli.fails("station", "list", env=environment)
    assert words in cli.json("station", "list", status=1, env=environment)["error"]["detail"]


def test_config_file_is_used(cli, tmp_path):
    file = tmp_path / "csms.toml"
    file.write_text("http_prot = 1\n")
    assert "http_prot" in cli.fails("station", "list", "--config", str(file))


def test_password_in_a_database_url_is_not_repeated(cli):
    assert "hidden" not in cli.fails("station", "list", env={"CSMS_DATABASE_URL": "postgresql://user:hidden@host/db"})
