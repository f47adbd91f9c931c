"""The message types are what the official schemas say, and nobody edited them by hand."""

from importlib import import_module
from pathlib import Path

import pytest

from csms.ocpp import generate, schemas, v16, v21
from csms.ocpp.generate import _python_name as python_name
from csms.ocpp.generate import module
from csms.ocpp.version import Version


@pytest.mark.parametrize("version", Version)
def test_the_checked_in_types_are_the_generated_ones(version: Version) -> None:
    checked_in = Path(generate.__file__).with_name(f"{version.package}.py").read_text("utf-8")
    assert module(version) == checked_in, "run python -m csms.ocpp.generate"


@pytest.mark.parametrize("version", Version)
def test_every_property_keeps_its_official_name(version: Version) -> None:
    types = import_module(f"csms.ocpp.{version.package}")
    for type_name in schemas.type_names(version):
        message = getattr(types, type_name.removesuffix("Request"))
        properties = schemas.official(version, type_name).get("properties", {})
        assert set(message.__struct_encode_fields__) == set(properties)


@pytest.mark.parametrize(
    ("wire", "attribute"),
    [
        ("chargePointVendor", "charge_point_vendor"),
        ("evseId", "evse_id"),
        ("responderURL", "responder_url"),
        ("iso15118SchemaVersion", "iso15118_schema_version"),
        ("limit_L2", "limit_l2"),
        ("prioritizedEMAIDs", "prioritized_emaids"),
        ("fixedPFAbsorb", "fixed_pf_absorb"),
        ("from", "from_"),
    ],
)
def test_attributes_are_snake_case(wire: str, attribute: str) -> None:
    assert python_name(wire) == attribute


def test_equal_inline_types_of_16_are_one_class() -> None:
    info = v16.IdTagInfo(status="Accepted")
    assert (
        v16.AuthorizeResponse(id_tag_info=info).id_tag_info == v16.StopTransactionResponse(id_tag_info=info).id_tag_info
    )


def test_one_name_never_means_two_types() -> None:
    table = {"Status": "Status = Literal['A']"}
    with pytest.raises(ValueError, match="Status"):
        generate._add(table, "Status", "Status = Literal['B']")


def test_a_definition_does_not_hide_the_request_of_the_same_name() -> None:
    assert "charging_profile_criteria" in v21.ClearChargingProfile.__struct_fields__
    assert "evse_id" in v21.ClearChargingProfileType.__struct_fields__
