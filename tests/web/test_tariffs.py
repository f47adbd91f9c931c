"""Resource `tariffs`: what a session costs."""

from __future__ import annotations

import pytest

from tests.web.conftest import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

TARIFFS = "/api/v1/tariffs"


async def test_new_prices_hold_from_now_on(system, api) -> None:
    made = await api.post(TARIFFS, json={"currency": "EUR", "price_per_kwh": 0.45, "price_per_minute": "0.000001"})
    assert made.status_code == 201
    told = made.json()
    assert (told["currency"], told["price_per_kwh"], told["price_per_minute"]) == ("EUR", "0.45", "0.000001")
    later = await api.post(TARIFFS, json={"currency": "EUR", "valid_from": "2999-01-01T00:00:00Z"})
    assert [row["valid_from"] for row in (await api.get(TARIFFS)).json()["items"]] == [
        later.json()["valid_from"],
        told["valid_from"],
    ]


async def test_prices_of_the_past_are_not_changed(api) -> None:
    problem = await api.post(TARIFFS, json={"currency": "EUR", "valid_from": "2020-01-01T00:00:00Z"})
    assert_problem(problem, 422, "past")


async def test_two_tariffs_cannot_begin_at_once(api) -> None:
    body = {"currency": "EUR", "valid_from": "2999-01-01T00:00:00Z"}
    assert (await api.post(TARIFFS, json=body)).status_code == 201
    assert_problem(await api.post(TARIFFS, json=body), 409, "valid_from")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"currency": "eur"}, {"currency": "EUR", "price_per_kwh": -1}, {"currency": "EUR", "price_per_kwh": "NaN"},
        {"currency": "EUR", "price_per_kwh": 0.0000001}, {"currency": "EUR", "price": 1},
    ],
)  # fmt: skip
async def test_what_is_no_price_is_refused(api, body) -> None:
    assert_problem(await api.post(TARIFFS, json=body), 422)


async def test_operators_have_their_own(api) -> None:
    await api.post(TARIFFS, params={"operator": "north"}, json={"currency": "SEK"})
    assert (await api.get(TARIFFS)).json()["items"] == []
    assert len((await api.get(TARIFFS, params={"operator": "north"})).json()["items"]) == 1
