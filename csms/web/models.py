"""The shapes of the REST API: snake_case JSON, times in RFC 3339 UTC, energies in Wh, power in W."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from csms.blocks.charging_verbs import Profile
from csms.domain.stations import is_identity

MAX_INT31 = 0x7FFFFFFF


UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # Stands in a path for what was not UTF-8.


def usable_identity(identity: str) -> str:
    """The identity of a station that a charger can connect with; else ValueError."""
    if not is_identity(identity) or identity in (".", "..") or UNREADABLE in identity:
        raise ValueError("A station's identity has 1 to 48 printable characters, without colon.")
    return identity


def usable_name(name: str) -> str:
    """The name of an operator (or of a location) that can stand in a path; else ValueError."""
    if not is_identity(name) or "/" in name or name in (".", "..") or UNREADABLE in name:
        raise ValueError("A name has 1 to 48 printable characters, without colon and slash.")
    return name


def in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("add the time zone, for example 2027-01-01T00:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


Name = Annotated[str, AfterValidator(usable_name)]
Word = Annotated[str, Field(min_length=1, max_length=255)]  # What is looked for.
Moment = Annotated[datetime, AfterValidator(in_utc)]
Password = Annotated[str, Field(min_length=8, max_length=64)]


class Shape(BaseModel):
    model_config = ConfigDict(from_attributes=True, extra="ignore")


class Request(BaseModel):
    """What a client sends: unknown fields are an error, so that a typing mistake does not go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("a text cannot hold NUL")
        return value


Admission = Literal["accepted", "pending", "rejected"]


class ConnectorView(Shape):
    evse_id: int
    connector_id: int
    status: str
    detail: str | None = None
    error_code: str | None = None
    error_info: str | None = None
    vendor_error_code: str | None = None
    reported_at: datetime


class StatusChangeView(Shape):
    status: str = Field(description="Of a connector, or `online`, `offline` of the station's connection.")
    evse_id: int | None = Field(None, description="null: the station's connection. 0: the station as a whole.")
    connector_id: int | None = None
    detail: str | None = Field(None, description="The station's own word, where it says more.")
    error_code: str | None = None
    error_info: str | None = None
    vendor_error_code: str | None = None
    reported_at: datetime = Field(description="When it changed, by the station's clock where that can be.")
    received_at: datetime


class StationView(Shape):
    id: str = Field(description="The identity it connects with; percent-encoded in paths.")
    operator: str
    location: str | None = Field(None, description="The id of the location where it stands.")
    online: bool
    admission: str = Field(description="What the station's next boot is answered.")
    registration: str | None = Field(None, description="What its last boot was answered.")
    has_password: bool
    security_profile: int | None = None
    strict: bool
    version: str | None = Field(None, description="The OCPP version of its latest connection.")
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    current: str | None = Field(None, description="AC or DC, where it is known.")
    max_power_w: int | None = Field(None, description="W that it gives in all.")
    connected_at: datetime | None = None
    last_seen_at: datetime | None = None
    booted_at: datetime | None = None
    created_at: datetime


class StationDetail(StationView):
    connectors: list[ConnectorView] = []
    password: str | None = Field(None, description="Only in the answer that made it: it is stored hashed.")


class StationChange(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"location": "A7-042", "security_profile": 2}]})

    password: Password | None = Field(
        None,
        description="Left out, a new station gets a generated one, shown once; null: no credentials are asked for.",
    )
    admission: Admission | None = Field(None, description="What its next boot is answered.")
    strict: bool | None = Field(None, description="Repair nothing that it sends (certification runs).")
    location: str | None = Field(None, description="The id of one of the operator's locations; null: none.")
    current: Literal["AC", "DC"] | None = None
    max_power_w: int | None = Field(None, ge=0, le=100_000_000, description="W that it gives in all.")
    security_profile: int | None = Field(
        None, ge=1, le=3,
        description="The lowest that is let in; it rises by itself when the station comes in higher. null: any.",
    )  # fmt: skip

    @field_validator("admission", "strict")
    @classmethod
    def _there(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("cannot be null: leave it out to keep it as it is")
        return value


class ImportReport(Shape):
    created: int
    updated: int
    passwords: dict[str, str] = Field(description="Generated passwords by station, shown only here.")


class TokenChange(Request):
    type: str | None = Field(None, max_length=20)
    status: Literal["accepted", "blocked", "expired", "invalid"] = "accepted"
    group: str | None = Field(None, max_length=255)
    expires_at: Moment | None = None


class GroupChange(Request):
    tokens: list[Word] = Field(min_length=1, max_length=10_000, description="All that shall belong to it.")


class GroupView(Shape):
    name: str
    operator: str
    tokens: int = Field(description="How many belong to it.")


class TokenView(Shape):
    value: str
    operator: str
    type: str | None = None
    status: str
    effective_status: str = Field(description="What a station asking now is told.")
    group: str | None = None
    expires_at: datetime | None = None


class SessionView(Shape):
    id: int
    operator: str
    station_id: str
    station_transaction_id: str
    version: str
    status: Literal["active", "closed"]
    phase: str
    token: str | None = None
    token_type: str | None = None
    group: str | None = None
    authorization: str
    evse_id: int | None = None
    connector_id: int | None = None
    started_at: datetime
    ended_at: datetime | None = None
    stop_reason: str | None = None
    energy_wh: float
    meter_start_wh: float | None = None
    meter_stop_wh: float | None = None
    power_w: float | None = None
    soc: float | None = None
    flags: list[str] = []


class ReadingView(Shape):
    sampled_at: datetime
    received_at: datetime
    evse_id: int | None = None
    connector_id: int | None = None
    register_wh: float | None = None
    power_w: float | None = None
    soc: float | None = None
    readings: list[dict[str, Any]] = Field(description="Every sampled value as the station sent it.")


class SessionStart(Request):
    station_id: str
    token: str
    evse_id: int | None = Field(None, ge=1, le=MAX_INT31, description="Left out, the station chooses.")
    operator: str | None = None
    profile: Profile | None = Field(None, description="What it is limited to: a profile of purpose `tx`.")


class CommandView(Shape):
    id: int
    operator: str
    station: str
    action: str
    status: str
    accepted: bool | None = Field(None, description="Whether the station agreed; null while it has not answered.")
    request: Any = Field(description="As sent, in the specification's spelling; passwords are masked.")
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    created_at: datetime
    sent_at: datetime | None = None
    settled_at: datetime | None = None


class Totals(Shape):
    operators: int
    stations: int
    stations_online: int
    sessions: int
    sessions_open: int
    tokens: int
    events_kept: int
