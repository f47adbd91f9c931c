"""OCSP over real sockets: what is believed, for how long, and who is not asked at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from csms.domain.certificates import Hashes, key_hash, name_hash
from csms.outbound import Outbound
from csms.trust.ocsp import MOST, Ocsp
from tests import pki
from tests.pki import Authority
from tests.responder import Responder, Status, open_site

ROOT = Authority("MO root")
LOCAL = Outbound(["127.0.0.0/8"])


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    async with open_site(Responder(ROOT)) as site:
        yield site


def question(responder: Responder, serial: int = 7, algorithm: str = "SHA256") -> Hashes:
    return Hashes(
        algorithm, name_hash(ROOT.certificate, algorithm), key_hash(ROOT.certificate, algorithm).upper(), f"{serial:x}",
        responder.url,
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_good_revoked_and_unknown_are_told_apart(responder, algorithm):
    responder.said = {2: Status.REVOKED, 3: Status.UNKNOWN}
    client = Ocsp(LOCAL)
    said = [await client.status(question(responder, serial, algorithm)) for serial in (1, 2, 3)]
    assert said == ["good", "revoked", "unknown"]


async def test_answer_is_kept_as_long_as_it_holds_and_an_hour_at_most(responder):
    now = datetime.now(UTC)
    client = Ocsp(LOCAL, clock=lambda: now)
    for _ in range(3):
        assert await client.status(question(responder)) == "good"
    assert len(responder.asked) == 1
    now += timedelta(minutes=61)
    responder.said = {7: Status.REVOKED}
    assert await client.status(question(responder)) == "revoked"
    assert len(responder.asked) == 2


async def test_undated_answer_is_asked_for_anew(responder):
    responder.life = None
    client = Ocsp(LOCAL)
    assert [await client.status(question(responder)) for _ in range(2)] == ["good", "good"]
    assert len(responder.asked) == 2


async def test_delegated_responder_is_believed(responder):
    responder.delegated()
    assert await Ocsp(LOCAL).status(question(responder)) == "good"


async def test_issuer_that_is_not_in_the_answer_may_be_known_otherwise(responder):
    responder.along = []
    client = Ocsp(LOCAL)
    assert await client.status(question(responder)) == "unavailable"
    assert await client.status(question(responder), [ROOT.certificate]) == "good"


async def bad(responder: Responder, change) -> str:
    change(responder)
    return await Ocsp(LOCAL, timeout=0.5).status(question(responder))


def _by_another(responder: Responder) -> None:
    rogue = Authority("MO root")
    responder.signer, responder.along = (rogue.certificate, rogue.key), [rogue.certificate]


def _delegated_by_another(responder: Responder) -> None:
    responder.delegated(by=Authority("MO root"))


def _without_the_usage(responder: Responder) -> None:
    responder.delegated(usage=pki.CLIENT)


def _wrong_serial(responder: Responder) -> None:
    responder.about = 8


def _old(responder: Responder) -> None:
    responder.age, responder.life = timedelta(days=9), timedelta(days=1)


def _old_and_undated(responder: Responder) -> None:
    responder.age, responder.life = timedelta(days=2), None


def _of_the_future(responder: Responder) -> None:
    responder.age = -timedelta(days=1)


def _try_later(responder: Responder) -> None:
    busy = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    from cryptography.hazmat.primitives.serialization import Encoding

    responder.answer = lambda body: (200, busy.public_bytes(Encoding.DER))


def _garbage(responder: Responder) -> None:
    responder.answer = lambda body: (200, b"<html>")


def _error(responder: Responder) -> None:
    responder.answer = lambda body: (500, b"")


def _huge(responder: Responder) -> None:
    responder.answer = lambda body: (200, b"\x30" * (MOST + 1))


def _silent(responder: Responder) -> None:
    responder.silent = True


def _altered(responder: Responder) -> None:
    good = responder.made

    def altered(body: bytes) -> tuple[int, bytes]:
        answer = bytearray(good(body))
        answer[-200] ^= 0xFF
        return 200, bytes(answer)

    responder.along = [ROOT.certificate]
    responder.answer = altered


@pytest.mark.parametrize(
    "change",
    [
        _by_another, _delegated_by_another, _without_the_usage, _wrong_serial, _old, _old_and_undated, _of_the_future,
        _try_later, _garbage, _error, _huge, _silent, _altered,
    ],
)  # fmt: skip
async def test_answer_that_proves_nothing_is_none(responder, change):
    assert await bad(responder, change) == "unavailable"


async def test_private_responder_is_not_asked_unless_allowed(responder):
    assert await Ocsp(Outbound()).status(question(responder)) == "unavailable"
    assert responder.asked == []


@pytest.mark.parametrize(
    "change",
    [{"serial": "xyz"}, {"serial": ""}, {"issuer_name": "zz"}, {"issuer_key": "ab"}, {"algorithm": "MD5"}, {"url": "ftp://x/"},
     {"url": "http://[::1]:1/"}, {"url": "no URL"}, {"url": ""}, {"serial": "-7"}],
)  # fmt: skip
async def test_hash_data_that_makes_no_sense_is_no_fault_of_ours(responder, change):
    assert await Ocsp(LOCAL).status(replace(question(responder), **change)) == "unavailable"
    assert await Ocsp(LOCAL).response(replace(question(responder), **change)) is None


async def test_answer_is_handed_on_as_it_is(responder):
    answer = await Ocsp(LOCAL).response(question(responder))
    single = ocsp.load_der_ocsp_response(answer)
    assert single.serial_number == 7 and isinstance(single.hash_algorithm, hashes.SHA256)


async def test_many_are_asked_at_once(responder):
    client = Ocsp(LOCAL)
    assert await asyncio.gather(*(client.status(question(responder, n)) for n in range(1, 20))) == ["good"] * 19
