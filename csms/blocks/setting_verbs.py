"""Neutral verbs of block B: what a station is set to is read and written, as configuration (1.6) or variables (2.x)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import msgspec

from csms.blocks.verbs import STRICT, Facts, Unsayable, Verb, in_parts
from csms.ocpp import v16, v201

Questions = Iterator[msgspec.Struct]

CONFIGURATION_KEYS, READ, WRITTEN = "configuration_keys", "variables_read", "variables_written"

_ONLY_16 = "The station speaks OCPP 2.x, which has variables instead of keys: use /variables."
_ONLY_2X = "The station speaks OCPP 1.6, which has configuration keys instead of variables: use /configuration."


@dataclass(frozen=True)
class ReadConfiguration:
    """Without keys: all there are, as far as the station tells them at once."""

    __pydantic_config__: ClassVar = STRICT
    keys: list[str] = field(default_factory=list)


def read_configuration(ask: ReadConfiguration, facts: Facts) -> Questions:
    keys = list({key.casefold(): key for key in ask.keys}.values())  # Keys ignore case.
    if not keys:
        yield v16.GetConfiguration()
    for part in in_parts(keys, facts.most(CONFIGURATION_KEYS)):
        yield v16.GetConfiguration(key=list(part))


@dataclass(frozen=True)
class WriteConfiguration:
    """New values of configuration keys (1.6 only); the station says of each whether it took it."""

    __pydantic_config__: ClassVar = STRICT
    values: dict[str, str]


def write_configuration(ask: WriteConfiguration, facts: Facts) -> Questions:
    seen: dict[str, str] = {}
    for key, value in ask.values.items():
        if seen.setdefault(key.casefold(), value) != value:
            raise Unsayable(f"Key {key!r} is given two values: a key's case does not matter. Give one.")
    if not seen:
        raise Unsayable('Give at least one value: {"values": {"HeartbeatInterval": "300"}}.')
    for key, value in ask.values.items():
        if seen.pop(key.casefold(), None) is not None:
            yield v16.ChangeConfiguration(key=key, value=value)


def no_keys(ask: Any, facts: Facts) -> Questions:
    raise Unsayable(_ONLY_16, 409)


Attribute = Literal["Actual", "Target", "MinSet", "MaxSet"]


@dataclass(frozen=True)
class Variable:
    """A variable of a component, `instance`s where there are several."""

    __pydantic_config__: ClassVar = STRICT
    component: str
    variable: str
    component_instance: str | None = None
    variable_instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    attribute: Attribute | None = None  # None: the actual value.


@dataclass(frozen=True)
class Written(Variable):
    value: str = ""


@dataclass(frozen=True)
class ReadVariables:
    """These variables of components (2.x), in as many messages as the station needs."""

    __pydantic_config__: ClassVar = STRICT
    variables: list[Variable]


@dataclass(frozen=True)
class WriteVariables:
    """New values of variables (2.x); the station says of each whether it took it."""

    __pydantic_config__: ClassVar = STRICT
    variables: list[Written]


def read_variables(ask: ReadVariables, facts: Facts) -> Questions:
    wanted = list({_about(each): each for each in ask.variables}.values())
    if not wanted:
        raise Unsayable("Name at least one variable; POST …/report reads all.")
    for part in in_parts(wanted, facts.most(READ)):
        data = [
            v201.GetVariableData(component=_component(each), variable=_variable(each), attribute_type=each.attribute)
            for each in part
        ]
        yield v201.GetVariables(get_variable_data=data)


def write_variables(ask: WriteVariables, facts: Facts) -> Questions:
    """No variable twice in one message: B05.FR.13 (T77)."""
    wanted: dict[Any, Written] = {}
    for each in ask.variables:
        if wanted.setdefault(_about(each), each).value != each.value:
            raise Unsayable(f"{each.component}/{each.variable} is given two values (B05.FR.13 forbids that). Give one.")
    if not wanted:
        raise Unsayable("Name at least one variable and its value.")
    for part in in_parts(list(wanted.values()), facts.most(WRITTEN)):
        data = [
            v201.SetVariableData(
                component=_component(each), variable=_variable(each), attribute_type=each.attribute,
                attribute_value=each.value,
            )
            for each in part
        ]  # fmt: skip
        yield v201.SetVariables(set_variable_data=data)


def no_variables(ask: Any, facts: Facts) -> Questions:
    raise Unsayable(_ONLY_2X, 409)


def _about(each: Variable) -> tuple[object, ...]:
    """Names ignore case in the device model."""
    names = (each.component, each.component_instance, each.variable, each.variable_instance)
    return (
        *(name and name.casefold() for name in names), each.evse_id, each.connector_id, each.attribute or "Actual"
    )  # fmt: skip


def _component(each: Variable) -> v201.Component:
    if each.connector_id is not None and each.evse_id is None:
        raise Unsayable("Name the EVSE of the connector: evse_id.")
    evse = None if each.evse_id is None else v201.EVSE(id=each.evse_id, connector_id=each.connector_id)
    return v201.Component(name=each.component, instance=each.component_instance, evse=evse)


def _variable(each: Variable) -> v201.Variable:
    return v201.Variable(name=each.variable, instance=each.variable_instance)


VERBS = (
    Verb("configuration/read", ReadConfiguration, read_configuration, no_keys, several=True,
         limits=lambda ask: (CONFIGURATION_KEYS,) if len(ask.keys) > 1 else ()),
    Verb("configuration", WriteConfiguration, write_configuration, no_keys, several=True),
    Verb("variables/read", ReadVariables, no_variables, read_variables, several=True,
         limits=lambda ask: (READ,) if len(ask.variables) > 1 else ()),
    Verb("variables", WriteVariables, no_variables, write_variables, several=True,
         limits=lambda ask: (WRITTEN,) if len(ask.variables) > 1 else ()),
)  # fmt: skip
