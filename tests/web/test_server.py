"""The sockets of the HTTP side: what is said when a port is taken, and who may open the control socket."""

from __future__ import annotations

import socket

import pytest

from csms.storage.place import StartError
from csms.web.server import listen, listen_control


def test_taken_port_is_told_with_the_setting_to_change():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StartError, match="CSMS_HTTP_PORT"):
        listen("127.0.0.1", taken.getsockname()[1], "CSMS_HTTP_PORT")


def test_control_socket_is_its_owners_alone_and_goes_with_the_server(tmp_path):
    path = tmp_path / "csms.sock"
    with listen_control(path):
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()


def test_control_socket_that_a_killed_server_left_is_taken_over(tmp_path):
    path = tmp_path / "csms.sock"
    path.touch()
    with listen_control(path) as sock:
        assert sock.getsockname() == str(path)
