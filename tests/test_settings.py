"""Settings: the shipped file is complete and true, the environment wins, mistakes are named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import SecretStr

from csms.settings import CONFIG_VARIABLE, Settings, SettingsError, load_settings

SHIPPED = Path(__file__).parents[1] / "config" / "csms.toml"
_SETTING = re.compile(r"^(?P<comment># )?(?P<name>[a-z][a-z0-9_]*) = (?P<value>\"[^\"]*\"|\[[^\]]*\]|[^\s#]+)", re.M)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the surroundings counts, and nothing stays behind."""
    import os

    for name in list(os.environ):
        if name.startswith("CSMS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv(CONFIG_VARIABLE, "")


@pytest.fixture
def config(tmp_path: Path):
    def config(text: str | bytes) -> Path:
        path = tmp_path / "csms.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return config


# The shipped file


def test_shipped_file_loads_and_says_the_defaults():
    assert load_settings(SHIPPED) == Settings()


def test_shipped_file_explains_every_setting_and_no_other():
    named = [found["name"] for found in _SETTING.finditer(SHIPPED.read_text("utf-8"))]
    assert sorted(named) == sorted(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_shipped_value_is_the_default(name: str):
    found = next(found for found in _SETTING.finditer(SHIPPED.read_text("utf-8")) if found["name"] == name)
    default = Settings.model_fields[name].default
    if default is None:
        assert found["comment"], f"{name} has no default: it stands in the file as a comment"
    else:
        written = tomllib.loads(found[0].removeprefix("# "))[name]
        assert (tuple(written) if isinstance(written, list) else written) == default


def test_every_setting_may_stand_in_the_file(config):
    text = re.sub(_SETTING, lambda found: f"{found['name']} = {found['value']}", SHIPPED.read_text("utf-8"))
    assert set(tomllib.loads(text)) == set(Settings.model_fields)
    assert load_settings(config(text)).model_fields_set == set(Settings.model_fields)


# Where they come from


def test_environment_wins_over_the_file(config, monkeypatch):
    monkeypatch.setenv("CSMS_OCPP_PORT", "9100")
    found = load_settings(config("ocpp_port = 9200\nhttp_port = 8200\n"))
    assert (found.ocpp_port, found.http_port, found.ocpp_host) == (9100, 8200, "127.0.0.1")


def test_caller_wins_over_all(config, monkeypatch):
    monkeypatch.setenv("CSMS_OCPP_PORT", "9100")
    assert load_settings(config("ocpp_port = 9200\n"), ocpp_port=9300).ocpp_port == 9300


def test_file_may_be_named_in_the_environment(config, monkeypatch):
    monkeypatch.setenv(CONFIG_VARIABLE, str(config("ocpp_port = 9200\n")))
    assert load_settings().ocpp_port == 9200


# Mistakes


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("CSMS_OCPP_PORT", "70000", "less than or equal to 65535"), ("CSMS_OCPP_PORT", "nine", "valid integer"),
        ("CSMS_REGISTRATION", "maybe", "'closed' or 'open'"), ("CSMS_STRICT", "perhaps", "valid boolean"),
        ("CSMS_OCPP_PATH", "ocpp", "pattern"), ("CSMS_HEARTBEAT_INTERVAL", "0", "greater than or equal to 1"),
        ("CSMS_CALL_TIMEOUT", "0", "greater than 0"), ("CSMS_LOG_LEVEL", "loud", "'debug'"),
        ("CSMS_CALL_TIMEOUT", "inf", "finite"),
        ("CSMS_RATE_MESSAGES", "inf", "finite"),
    ],
)  # fmt: skip
def test_wrong_value_names_its_setting_and_what_to_write(monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as raised:
        load_settings()
    assert words in str(raised.value)


def test_all_mistakes_are_told_at_once(config):
    with pytest.raises(SettingsError) as raised:
        load_settings(config('ocpp_port = "nine"\nhttp_prot = 1\n'))
    assert "ocpp_port (CSMS_OCPP_PORT)" in str(raised.value)
    assert "http_prot" in str(raised.value)


@pytest.mark.parametrize("text", [b"ocpp_port = \n", b"\xff\xfe", b"[", b"ocpp_port = 1\nocpp_port = 2\n"])
def test_unreadable_file_is_named(config, text):
    path = config(text)
    with pytest.raises(SettingsError, match=re.escape(str(path))):
        load_settings(path)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_missing_file_is_named_with_what_to_do(tmp_path, monkeypatch, by):
    missing = tmp_path / "none.toml"
    if by == "environment":
        monkeypatch.setenv(CONFIG_VARIABLE, str(missing))
    with pytest.raises(SettingsError, match=r"There is no file .*none.toml.* Copy config/csms.toml"):
        load_settings(missing if by == "argument" else None)


# Secrets


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name.endswith(("_key", "_url"))])
def test_secret_is_never_shown(name: str):
    settings = Settings(**{name: "scheme://user:hidden-secret@host"})
    for shown in (repr(settings), str(settings), f"{settings!r}", repr(settings.model_dump())):
        if isinstance(getattr(settings, name), SecretStr):
            assert "hidden-secret" not in shown
    assert isinstance(getattr(settings, name), SecretStr) or name == "database_url"


@pytest.mark.parametrize("name", ["admin_key", "secret_key", "mqtt_url"])
def test_secret_of_a_wrong_type_is_not_repeated(config, name):
    with pytest.raises(SettingsError) as raised:
        load_settings(config(f'{name} = ["hidden-secret"]\n'))
    assert name in str(raised.value)
    assert "hidden-secret" not in str(raised.value)


def test_stations_may_connect_without_any_path_before_their_name() -> None:
    assert Settings(ocpp_path="/").ocpp_path == "/"
