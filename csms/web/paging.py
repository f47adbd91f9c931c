"""How every listing is asked for and answered: `limit`, `cursor`, `sort`, `total`."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Depends, Query
from pydantic import Field

from csms.storage import paging
from csms.storage.paging import MOST_COUNTED, Listing, Paging, Row
from csms.web.models import Shape

T = TypeVar("T")

MOST = 1000  # Items of a page.


class Page(Shape, Generic[T]):
    items: list[T]
    next: str | None = Field(None, description="The `cursor` to ask for what follows; null on the last page.")
    total: int | None = Field(
        None, exclude_if=lambda total: total is None,
        description=f"How many there are, over all pages: only when asked for (`total=true`), up to {MOST_COUNTED:,}.",
    )  # fmt: skip
    total_capped: bool | None = Field(
        None, exclude_if=lambda capped: capped is None,
        description="Told beside `total`: whether there are more, which were not counted.",
    )  # fmt: skip


def paging_of(listing: Listing, most: int = MOST, usual: int = 100) -> Any:
    """The type of a route's parameter by which the part of a listing is asked for."""
    limit = Annotated[int, Query(ge=1, le=most, description="Items in the answer, at most.")]
    cursor = Annotated[str | None, Query(description="`next` of the page before, with the same filters and sort.")]
    sort = Annotated[
        Literal[listing.orders], Query(description=f"`-`: descending. Left out: `{listing.default}`."),
    ]  # fmt: skip
    total = Annotated[bool, Query(description=f"Count them, too (up to {MOST_COUNTED:,}).")]

    def asked(
        limit: limit = usual, cursor: cursor = None, sort: sort = listing.default, total: total = False
    ) -> Paging:
        return Paging(limit, cursor, sort, total)

    return Annotated[Paging, Depends(asked)]


def paged(found: paging.Page, view: Callable[[Row], T]) -> Page[T]:
    """The answer that shows a page."""
    total = found.total
    counted = {} if total is None else {"total": min(total, MOST_COUNTED), "total_capped": total > MOST_COUNTED}
    return Page(items=[view(row) for row in found.rows], next=found.next, **counted)
