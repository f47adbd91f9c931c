"""Functional block D: the list of tokens that a station may judge by itself."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.domain.asked import ListInstalled
from csms.domain.tokens import folded
from csms.domain.unit import Reported
from csms.ocpp import v16, v201

LIST = "local_list"


@settles
def version_told(
    request: v16.GetLocalListVersion | v201.GetLocalListVersion,
    response: v16.GetLocalListVersionResponse | v201.GetLocalListVersionResponse | None,
) -> Iterator[Reported]:
    """-1 (1.6): lists are not supported; 0: none is installed."""
    if response is not None:
        version = getattr(response, "list_version", None)
        yield Reported(LIST, "version", b"%d" % (response.version_number if version is None else version))


@settles
def installed_16(request: v16.SendLocalList, response: v16.SendLocalListResponse | None) -> Iterator[ListInstalled]:
    if response is not None and response.status == "Accepted":
        entries = {
            folded(entry.id_tag): msgspec.to_builtins(entry) if entry.id_tag_info is not None else None
            for entry in request.local_authorization_list or ()
        }
        yield ListInstalled(version=request.list_version, full=request.update_type == "Full", entries=entries)


@settles
def installed_2x(request: v201.SendLocalList, response: v201.SendLocalListResponse | None) -> Iterator[ListInstalled]:
    """An entry without information is one to remove (D01.FR.17)."""
    if response is not None and response.status == "Accepted":
        entries = {
            f"{folded(entry.id_token.id_token)}|{entry.id_token.type}":
                msgspec.to_builtins(entry) if entry.id_token_info is not None else None
            for entry in request.local_authorization_list or ()
        }  # fmt: skip
        yield ListInstalled(version=request.version_number, full=request.update_type == "Full", entries=entries)
