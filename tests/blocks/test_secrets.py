"""Passwords are sent, never recorded."""

from __future__ import annotations

import pytest

from csms.blocks.secrets import MASK, masked


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ftp://user:secret@host/path", f"ftp://user:{MASK}@host/path"),
        ("https://user:@host", f"https://user:{MASK}@host"),
        ("https://host/a:b@c", "https://host/a:b@c"),
        ("https://user@host:8080/x", "https://user@host:8080/x"),
        ("no address", "no address"),
    ],
)
def test_password_in_an_address_is_masked_and_the_rest_is_shown(address, shown):
    assert masked("GetDiagnostics", {"location": address, "retries": 1}) == {"location": shown, "retries": 1}
    assert masked("GetLog", {"log": {"remoteLocation": address}}) == {"log": {"remoteLocation": shown}}
    assert masked("DataTransfer", {"data": address}) == {"data": address}
