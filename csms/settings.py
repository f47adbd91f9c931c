"""Every setting, from a TOML file and from the environment (CSMS_…), which wins."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)  # fmt: skip


class SettingsError(Exception):
    """A setting cannot be used; the message names it and says what to write."""


def _split(value: Any) -> Any:
    """In the environment a list is written with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        ip_network(text, strict=False)
    return texts


_Listed = (NoDecode, BeforeValidator(_split))
Names = Annotated[tuple[str, ...], *_Listed]
Networks = Annotated[tuple[str, ...], *_Listed, AfterValidator(_networks)]
Paths = Annotated[tuple[Path, ...], *_Listed]
Versions = Annotated[tuple[Literal["1.6", "2.0.1", "2.1"], ...], *_Listed, Field(min_length=1)]


class Settings(BaseSettings):
    """All settings with their defaults; `config/csms.toml` explains each."""

    model_config = SettingsConfigDict(env_prefix="CSMS_", extra="forbid", allow_inf_nan=False)

    database_url: str = Field("sqlite:///csms.db", repr=False)  # May hold a password.
    storage_patience: float = Field(25.0, ge=0, description="s")
    secret_key: SecretStr | None = Field(None, description="At least 16 characters, shared by all nodes.")
    workers: int = Field(1, ge=1, le=64)

    ocpp_host: str = "127.0.0.1"
    ocpp_port: int = Field(9000, ge=0, le=65535)
    ocpp_tls_port: int = Field(9443, ge=0, le=65535)
    ocpp_mtls_port: int = Field(9444, ge=0, le=65535)
    tls_certificates: Paths = ()
    tls_client_ca: Path | None = None
    tls_client_crl: Path | None = None
    tls_client_organization: str | None = None
    proxy_networks: Networks = ()
    proxy_address_header: str = "X-Forwarded-For"
    proxy_proto_header: str = "X-Forwarded-Proto"
    proxy_certificate_header: str = "X-Client-Cert"
    proxy_verified_header: str = "X-Client-Verify"
    ca_folder: Path | None = None
    ca_certificate_days: float = Field(365.0, gt=0)
    ca_renew_days: float = Field(30.0, ge=0)
    contract_roots: Paths = ()
    contract_provider_url: SecretStr | None = None  # May hold a password.
    contract_provider_timeout: float = Field(15.0, gt=0, le=25, description="s")
    ocsp_timeout: float = Field(5.0, gt=0, le=25, description="s")
    ocpp_path: str = Field("/ocpp", pattern=r"^(/|(/[\w.~-]+)+)$")
    ocpp_versions: Versions = ("1.6", "2.0.1")
    ocpp_assume_16: bool = False
    ocpp_unspoken: Literal["refuse", "close"] = "refuse"
    ocpp_compression: bool = True
    ocpp_uncompressed: Names = ()
    registration: Literal["closed", "open"] = "closed"
    hide_unknown: bool = False
    strict: bool = False
    quirks_file: Path | None = None
    concurrent_tokens: Literal["allow", "refuse"] = "allow"
    reread_after_boot: bool = False
    heartbeat_interval: int = Field(300, ge=1, description="s")
    retry_interval: int = Field(60, ge=1, description="s")
    call_timeout: float = Field(30.0, gt=0, description="s")
    call_timeouts: dict[str, Annotated[float, Field(gt=0)]] = Field({}, description="s, by action.")
    ping_interval: float = Field(30.0, ge=0, description="s; 0: never")
    pong_deadline: float = Field(20.0, gt=0, description="s")
    handshake_deadline: float = Field(10.0, gt=0, description="s")
    message_deadline: float = Field(30.0, gt=0, description="s")
    drain_window: float = Field(0.0, ge=0, le=600, description="s")
    max_message_16: int = Field(256 << 10, ge=1 << 10, description="bytes")
    max_message_2x: int = Field(1 << 20, ge=1 << 10, description="bytes")

    rate_messages: float = Field(20.0, ge=0, description="per station and second; 0: no limit")
    rate_burst: int = Field(200, ge=1)
    rate_flood: float = Field(60.0, gt=0, description="s")
    rate_connects: float = Field(1000.0, ge=0, description="handshakes a second; 0: no limit")
    rate_connects_address: float = Field(20.0, ge=0, description="handshakes a second of one address; 0: no limit")
    rate_handshakes_address: int = Field(100, ge=0, description="of one address under way; 0: no limit")
    rate_reconnects: int = Field(60, ge=0, description="per station and hour; 0: no limit")
    rate_guesses: int = Field(10, ge=0, description="failed logins a minute; 0: no limit")
    rate_exempt: Networks = ("127.0.0.0/8", "::1/128")
    rate_shared: Networks = ()

    http_host: str = "127.0.0.1"
    http_port: int = Field(8080, ge=0, le=65535)
    admin_key: SecretStr | None = Field(None, description="Else one is generated on the first run and shown once.")

    outbound_allowed: Networks = ()

    mqtt_url: SecretStr | None = None
    event_retention_days: float = Field(7.0, gt=0)
    event_most_rows: int = Field(10_000_000, ge=1000)
    event_readers: int = Field(1000, ge=0)
    trail_bytes: int = Field(64 << 20, ge=0, description="0: no trail")

    sample_full_days: float = Field(7.0, ge=0)
    sample_keep_seconds: float = Field(300.0, ge=0, description="s; 0: all are kept")
    sample_retention_days: float = Field(400.0, gt=0)
    status_retention_days: float = Field(400.0, gt=0)
    log_retention_days: float = Field(400.0, gt=0)
    command_retention_days: float = Field(400.0, gt=0)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(CONFIG_VARIABLE)
        sources = [init_settings, env_settings]
        if file:
            sources.append(TomlConfigSettingsSource(settings_cls, Path(file)))
        return tuple(sources)


CONFIG_VARIABLE = "CSMS_CONFIG"


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Settings from `config` (or the file CSMS_CONFIG names), the environment and `overrides`; SettingsError if wrong."""
    if config is None and os.environ.get(CONFIG_VARIABLE):
        config = Path(os.environ[CONFIG_VARIABLE])
    if config is not None:
        if not config.is_file():
            raise SettingsError(f"There is no file {config}. Copy config/csms.toml and change what you need.")
        os.environ[CONFIG_VARIABLE] = str(config)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_told(found) for found in error.errors())) from None
    except ValueError as error:  # Unreadable TOML.
        raise SettingsError(f"{os.environ.get(CONFIG_VARIABLE)}: {error}") from None


def _told(found: Any) -> str:
    name = ".".join(str(part) for part in found["loc"])
    return f"{name} (CSMS_{name.upper()}): {found['msg']}"
