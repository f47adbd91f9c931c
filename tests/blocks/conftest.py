"""Conversations with the blocks, one for each version."""

from __future__ import annotations

import pytest

from csms.ocpp.catalogue import Version
from tests.blocks.conversation import Conversation


@pytest.fixture
async def v16() -> Conversation:
    return Conversation(Version.V16)


@pytest.fixture
async def v201() -> Conversation:
    return Conversation(Version.V201)
