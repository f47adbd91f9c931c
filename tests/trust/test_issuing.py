"""What is issued is kept, brought again when it did not arrive, renewed in time, and revoked for all."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from csms.blocks.ports import AuthorityError
from csms.cluster.followups import FollowUps
from csms.domain.asked import CertificateSettled
from csms.domain.certificates import Order
from csms.domain.unit import Reported
from csms.ocpp.catalogue import Version
from csms.storage.certificates import revoke
from csms.storage.changes import keep
from csms.trust.authority import create
from csms.trust.issuing import LocalIssuer, Renewals
from tests import pki
from tests.cluster.conftest import Office
from tests.cluster.line import JoinedLine
from tests.conftest import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")

YEAR, MONTH = timedelta(days=365), timedelta(days=30)


class Site:
    """An issuer whose clock a test moves."""

    def __init__(self, folder: Path, office: Office):
        create(folder, "ACME", NOW)
        self.now = NOW
        self.folder = folder
        self.office = office
        self.issuer = self.restarted()

    def restarted(self) -> LocalIssuer:
        return LocalIssuer(self.folder, self.office.database, lambda: self.now, YEAR, MONTH)

    def order(self, csr: str | None = None, kind: Any = "station") -> Order:
        target = self.office.target
        return Order(target.id, target.operator, target.identity, kind, csr or pki.request(target.identity))

    async def settle(self, chain: str, taken: bool = True) -> None:
        change = CertificateSettled(serial=serial(chain), taken=taken)
        await self.write(lambda connection: keep(connection, self.office.target.id, [change], self.now))

    async def write(self, job) -> Any:
        return await self.office.database.writer.run(job)

    async def one_round(self, line: JoinedLine | None = None) -> list[tuple[str, Any]]:
        """What a start of the server asks of the station."""
        if line is not None:
            self.office.connect(line)
        followups = FollowUps(self.office.desk)
        task = asyncio.create_task(
            Renewals(self.restarted(), followups, self.office.lines.__contains__, lambda: self.now, MONTH).run()
        )
        while not list(self.folder.glob("stations.crl")):
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0.001)
            if line is not None and line.asked:
                break
        task.cancel()
        await followups.close()
        return [(call.action, call.payload) for call in line.asked] if line is not None else []


@pytest.fixture
def site(tmp_path: Path, office: Office) -> Site:
    return Site(tmp_path / "ca", office)


def serial(chain: str) -> str:
    return f"{pki.first(chain.encode()).serial_number:x}"


async def test_same_request_gets_the_same_certificate_also_after_a_restart(site: Site):
    order = site.order()
    chain = await site.issuer.issue(order)
    assert await site.issuer.issue(order) == chain
    assert await site.restarted().issue(order) == chain
    assert await asyncio.gather(*(site.issuer.issue(order) for _ in range(5))) == [chain] * 5
    assert await site.issuer.issue(site.order()) != chain, "another key, another certificate"


async def test_same_request_gets_a_new_certificate_when_the_old_one_ends_or_was_revoked(site: Site):
    order = site.order()
    chain = await site.issuer.issue(order)
    site.now += YEAR - MONTH + timedelta(hours=1)
    later = await site.issuer.issue(order)
    assert later != chain
    await site.write(revoke(None, serial(later), site.now))
    assert await site.issuer.issue(order) not in (chain, later)


async def test_request_that_cannot_be_read_is_an_error_of_the_authority(site: Site):
    with pytest.raises(AuthorityError):
        await site.issuer.issue(site.order("nothing"))


async def test_certificate_that_did_not_arrive_is_brought_again(site: Site):
    order = site.order()
    data = ('{"csr":' + json.dumps(order.csr) + "}").encode()
    asked = Reported("certificate_request", "station", data)
    await site.write(lambda connection: keep(connection, order.station_id, [asked], NOW))
    line = JoinedLine(Version.V201, reply=lambda call: {"status": "Accepted"})
    assert await site.one_round(JoinedLine(Version.V201)) == [], "it may be on its way"
    site.now += timedelta(minutes=5)
    ((action, payload),) = await site.one_round(line)
    assert action == "CertificateSigned"
    brought = json.loads(bytes(payload))
    assert brought == {
        "certificateChain": await site.issuer.issue(order), "certificateType": "ChargingStationCertificate",
    }  # fmt: skip
    assert await site.one_round(JoinedLine(Version.V201)) == [], "it was taken: that is settled"


async def test_station_is_asked_to_renew_what_ends_soon(site: Site):
    await site.settle(await site.issuer.issue(site.order()))
    assert await site.one_round(JoinedLine(Version.V201)) == []
    site.now += YEAR - timedelta(days=20)
    ((action, payload),) = await site.one_round(JoinedLine(Version.V201, reply=lambda call: {"status": "Accepted"}))
    assert (action, bytes(payload)) == ("TriggerMessage", b'{"requestedMessage":"SignChargingStationCertificate"}')
    await site.settle(await site.issuer.issue(site.order()))
    assert await site.one_round(JoinedLine(Version.V201)) == [], "it has a new one"


async def test_revoked_certificate_is_on_the_list_of_every_node(site: Site):
    chain = await site.issuer.issue(site.order())
    other = site.restarted()
    await other.write_revoked()
    assert not other.is_revoked(serial(chain))
    await site.write(revoke(None, serial(chain).upper(), NOW))
    await other.write_revoked()
    assert other.is_revoked(serial(chain))
    listed = x509.load_pem_x509_crl((site.folder / "stations.crl").read_bytes())
    assert listed.get_revoked_certificate_by_serial_number(int(serial(chain), 16)) is not None


async def test_list_is_written_anew_before_it_ends_and_else_only_when_it_changed(site: Site):
    await site.issuer.write_revoked()
    first = (site.folder / "stations.crl").read_bytes()
    site.now += timedelta(hours=1)
    await site.issuer.write_revoked()
    assert (site.folder / "stations.crl").read_bytes() == first, "each change lets the ports read it anew"
    site.now += timedelta(days=2)
    await site.issuer.write_revoked()
    assert x509.load_pem_x509_crl((site.folder / "stations.crl").read_bytes()).next_update_utc > _later(site.now)


def _later(now: datetime) -> datetime:
    return now + timedelta(days=6)
