"""REST resource `webhooks`: who gets events over HTTP, and how that goes."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from csms.domain.events import types_of
from csms.domain.webhooks import Circuit, Webhook
from csms.storage import webhooks as storage
from csms.web.access import Caller, Editor, Reader
from csms.web.models import Name, Request, Shape
from csms.web.paging import Page, paged, paging_of
from csms.web.problems import Problem, described
from csms.web.services import Services, services_of

router = APIRouter(tags=["webhooks"])
ServicesOf = Annotated[Services, Depends(services_of)]

MOST = 100  # In the whole system: each reads the outbox for itself. Who needs more receivers takes a broker.
_NOT_FOUND = "There is no webhook {}."
_Url = Annotated[str, Field(min_length=1, max_length=2000, description="https, or http within a network you trust.")]
_Types = Annotated[
    list[str], Field(max_length=100, description="Only these: `session.opened`, `session.*` … None: all.")
]
_Stations = Annotated[list[str], Field(max_length=1000, description="Only events of these stations. None: all.")]


class WebhookCreation(Request):
    url: _Url
    description: str | None = Field(None, max_length=200)
    types: _Types = Field(default_factory=list)
    stations: _Stations = Field(default_factory=list)
    enabled: bool = True


class WebhookChange(Request):
    """What is left out stays; the circuit is closed, so that the next attempt is made at once."""

    url: _Url | None = None
    description: str | None = Field(None, max_length=200)
    types: _Types | None = None
    stations: _Stations | None = None
    enabled: bool | None = Field(None, description="false: its events wait, as long as they are kept.")


class DeliveryView(Shape):
    circuit: Circuit = Field(description="open: left alone until next_attempt_at; half_open: the next attempt is due.")
    waiting: int = Field(description="Commits with events that it has not taken yet; some may not concern it.")
    failures: int = Field(description="In a row.")
    error: str | None = Field(None, description="Why the latest attempt failed.")
    attempted_at: datetime | None = None
    delivered_at: datetime | None = None
    next_attempt_at: datetime | None = None


class WebhookView(Shape):
    id: int
    operator: str | None = Field(None, description="null: the events of all operators.")
    url: str
    description: str | None = None
    types: list[str]
    stations: list[str]
    enabled: bool
    created_at: datetime
    delivery: DeliveryView
    secret: str | None = Field(None, description="Only in the answer that made it.")


class TestView(Shape):
    delivered: bool
    status: int | None = Field(None, description="What the receiver answered; null: it was not reached.")
    error: str | None = None
    milliseconds: int


@router.get("/webhooks")
async def list_webhooks(
    services: ServicesOf, caller: Reader, paging: paging_of(storage.WEBHOOKS), operator: Name | None = None,
    enabled: bool | None = None,
) -> Page[WebhookView]:  # fmt: skip
    """In the order in which they were made, each with the state of its deliveries."""
    found = await services.queries.page(storage.WEBHOOKS, paging, caller.within(operator), enabled=enabled)
    views = {row["id"]: await _view(services, storage.webhook_from(row)) for row in found.rows}
    return paged(found, lambda row: views[row["id"]])


@router.post("/webhooks", status_code=201, responses=described(409))
async def add_webhook(
    creation: WebhookCreation, services: ServicesOf, caller: Editor, operator: Name | None = None
) -> WebhookView:
    """Have events sent from now on. The answer holds the secret that signs them: it is never shown again.

    Without `operator`, an admin's webhook gets the events of all operators.
    """
    fields = creation.model_dump()
    _check(services, fields)
    within = caller.within(operator)
    operator_id = None if within is None else await services.operator_id(within)
    salt = secrets.token_bytes(16)
    id = await services.write(storage.create(operator_id, fields, salt, services.clock(), MOST), bool)
    if id is None:
        raise Problem(409, f"There are {MOST} webhooks already: remove one, or take a message broker for more.")
    services.delivery.webhooks_changed()
    return await _view(services, await _find(services, caller, id), secret=services.delivery.webhook_secret(salt))


@router.get("/webhooks/{id}", responses=described(404))
async def show_webhook(id: int, services: ServicesOf, caller: Reader) -> WebhookView:
    """One webhook, and the state of its deliveries."""
    return await _view(services, await _find(services, caller, id))


@router.put("/webhooks/{id}", responses=described(404))
async def change_webhook(id: int, change: WebhookChange, services: ServicesOf, caller: Editor) -> WebhookView:
    """Replace what is given. Its place among the events stays."""
    await _find(services, caller, id)
    fields = change.model_dump(exclude_unset=True)
    fields = {name: value for name, value in fields.items() if value is not None or name == "description"}
    _check(services, fields)
    await services.write(storage.change(id, fields))
    services.delivery.webhooks_changed()
    return await _view(services, await _find(services, caller, id))


@router.delete("/webhooks/{id}", status_code=204, responses=described(404))
async def delete_webhook(id: int, services: ServicesOf, caller: Editor) -> None:
    """Nothing is sent to it any more; events that wait for it alone are let go."""
    await _find(services, caller, id)
    await services.write(storage.delete(id))
    services.delivery.webhooks_changed()


@router.post("/webhooks/{id}/secret", responses=described(404))
async def renew_secret(id: int, services: ServicesOf, caller: Editor) -> WebhookView:
    """A new secret, shown only here. What is sent from now on is signed with it."""
    await _find(services, caller, id)
    salt = secrets.token_bytes(16)
    await services.write(storage.change(id, {"salt": salt}))
    services.delivery.webhooks_changed()
    return await _view(services, await _find(services, caller, id), secret=services.delivery.webhook_secret(salt))


@router.post("/webhooks/{id}/test", responses=described(404))
async def test_webhook(id: int, services: ServicesOf, caller: Editor) -> TestView:
    """Send it one event of type `webhook.test` now, whatever the state of its deliveries."""
    attempt = await services.delivery.test_webhook(await _find(services, caller, id))
    return TestView(
        delivered=attempt.error is None, status=attempt.status, error=attempt.error,
        milliseconds=round(attempt.seconds * 1000),
    )  # fmt: skip


def _check(services: Services, fields: dict) -> None:
    for name, check in (("url", services.delivery.check_url), ("types", types_of)):
        if name in fields:
            try:
                check(fields[name])
            except ValueError as error:
                raise Problem(422, str(error), path=name) from None


async def _find(services: Services, caller: Caller, id: int) -> Webhook:
    webhook = await services.delivery.webhooks.find(id) if abs(id) < 1 << 63 else None
    if webhook is None or caller.operator not in (None, webhook.operator):
        raise Problem(404, _NOT_FOUND.format(id))
    return webhook


async def _view(services: Services, webhook: Webhook, secret: str | None = None) -> WebhookView:
    delivery = DeliveryView(
        circuit=webhook.circuit(services.clock()), waiting=await services.delivery.webhooks.lag(webhook.id),
        failures=webhook.failures, error=webhook.error, attempted_at=webhook.attempted_at,
        delivered_at=webhook.delivered_at, next_attempt_at=webhook.next_attempt_at,
    )  # fmt: skip
    return WebhookView(
        id=webhook.id, operator=webhook.operator, url=webhook.url, description=webhook.description,
        types=list(webhook.types), stations=sorted(webhook.wanted.stations), enabled=webhook.enabled,
        created_at=webhook.created_at, delivery=delivery, secret=secret,
    )  # fmt: skip
