"""Secrets: made by the machine, kept under a keyed hash that belongs to one station."""

from __future__ import annotations

import pytest

from csms.domain.credentials import Vault, new_api_key, new_password

VAULT = Vault(b"sixteen bytes ok")


def test_short_key_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        Vault(b"fifteen bytes..")


def test_password_matches_its_own_hash_only():
    kept = VAULT.station_hash("default", "CS-1", b"secret")
    assert VAULT.station_matches(kept, "default", "CS-1", b"secret")
    assert not VAULT.station_matches(kept, "default", "CS-1", b"Secret")


def test_hash_is_bound_to_operator_and_station():
    kept = VAULT.station_hash("default", "CS-1", b"secret")
    assert not VAULT.station_matches(kept, "default", "CS-2", b"secret")
    assert not VAULT.station_matches(kept, "other", "CS-1", b"secret")


def test_hash_depends_on_the_key():
    assert Vault(b"another sixteen b").key_hash("k") != VAULT.key_hash("k")


def test_T73_password_may_be_any_bytes():
    password = bytes(range(256))
    assert VAULT.station_matches(VAULT.station_hash("o", "s", password), "o", "s", password)


def test_new_passwords_fit_every_version_and_are_readable():
    passwords = {new_password() for _ in range(100)}
    assert len(passwords) == 100
    assert all(len(password) == 20 and not set(password) & set("0O1Il") for password in passwords)


def test_new_api_keys_are_long_and_different():
    assert new_api_key() != new_api_key()
    assert len(new_api_key()) > 40
    assert new_api_key().startswith("csms_")
