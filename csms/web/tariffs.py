"""REST resource `tariffs`: what a session costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from csms.domain.tariffs import MICROS, Tariff
from csms.storage import admin
from csms.storage.listings import TARIFFS
from csms.storage.paging import Row
from csms.web.access import Editor, Reader
from csms.web.models import Moment, Name, Request, Shape
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(tags=["tariffs"])
ServicesOf = Annotated[Services, Depends(services_of)]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6, description="In units of the currency.")]


class TariffChange(Request):
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217, for example EUR.")
    price_per_kwh: Price = Decimal(0)
    price_per_minute: Price = Decimal(0)
    price_per_session: Price = Decimal(0)
    valid_from: Moment | None = Field(None, description="Left out: now. Sessions begun earlier keep their prices.")


class TariffView(Shape):
    currency: str
    price_per_kwh: Decimal
    price_per_minute: Decimal
    price_per_session: Decimal
    valid_from: Moment


@router.get("/tariffs")
async def list_tariffs(
    services: ServicesOf, caller: Reader, paging: paging_of(TARIFFS), operator: Name | None = None
) -> Page[TariffView]:
    """All tariffs of an operator, the latest first. A session costs what held when it began."""
    return paged(await services.queries.page(TARIFFS, paging, caller.chosen(operator)), _view)


@router.post("/tariffs", status_code=201, responses=described(409))
async def add_tariff(
    change: TariffChange, services: ServicesOf, caller: Editor, operator: Name | None = None
) -> TariffView:
    """Set new prices, from now on or from a later time on. Prices that held are never changed."""
    operator, now = caller.chosen(operator), services.clock()
    if change.valid_from is not None and change.valid_from < now:
        raise Problem(422, "valid_from lies in the past: sessions begun since then would change their price.")
    tariff = Tariff(
        change.currency, _micros(change.price_per_kwh), _micros(change.price_per_minute),
        _micros(change.price_per_session), change.valid_from or now,
    )  # fmt: skip
    operator_id = await services.operator_id(operator)
    if not await services.write(admin.add_tariff(operator_id, tariff, now), bool):
        raise Problem(409, "A tariff begins at this very moment already: choose another valid_from.")
    services.tariff_changed(operator_id)
    return _view(await services.queries.tariff(operator_id, tariff.valid_from))


def _micros(price: Decimal) -> int:
    return int(price * MICROS)


def _view(row: Row) -> TariffView:
    prices = {f"price_{name}": Decimal(row[name]) / MICROS for name in ("per_kwh", "per_minute", "per_session")}
    return TariffView(currency=row["currency"], valid_from=row["valid_from"], **prices)
