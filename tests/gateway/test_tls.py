"""Security profiles 2 and 3: who gets through TLS, and as whom (conformance.md 4, S5, S6, S8, S9)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from csms.gateway.tls import Tls, TlsError
from csms.storage.memory import MemoryRecords
from tests import pki
from tests.conftest import MakeServer, Server
from tests.pki import DAY, Authority, kept

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOOT = {"chargingStation": {"vendorName": "V", "model": "M"}, "reason": "PowerUp"}
MANDATED = (
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-GCM-SHA384")
)  # fmt: skip


class Site:
    """A central system with a port for each profile, and who signs what."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.root = Authority("Server root")
        self.stations = Authority("Station root")
        self.sub = Authority("Station sub", self.stations)
        self.foreign = Authority("Foreign root")
        rsa, ecdsa = self.root.server(pki.rsa_key()), self.root.server(pki.ec_key())
        self.revoked = self.stations.station("CS-1")
        self.certificates = (kept(folder, "rsa.pem", rsa), kept(folder, "ecdsa.pem", ecdsa))
        self.ca = kept(folder, "stations.pem", pki.pem(self.stations.certificate))
        self.trusted = kept(folder, "root.pem", pki.pem(self.root.certificate))
        crl = self.stations.revoked(pki.first(self.revoked)) + self.sub.revoked()
        self.crl = kept(folder, "crl.pem", crl)

    def client(self, certificate: bytes | None = None, **options: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.trusted))
        for option, value in options.items():
            getattr(context, option)(value) if callable(getattr(context, option)) else setattr(context, option, value)
        if certificate is not None:
            context.load_cert_chain(str(kept(self.folder, "client.pem", certificate)))
        return context


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("tls"))


@pytest_asyncio.fixture(loop_scope="module")
async def served(site: Site, make_server: MakeServer) -> Server:
    records = MemoryRecords()
    server = await make_server(records, organization="ACME")
    await server.add_station("CS-1", password=b"0123456789abcdef", serial="SN-1")
    gateway = server.gateway
    server.tls = await gateway.start_tls("127.0.0.1", 0, Tls(site.certificates))
    server.mtls = await gateway.start_tls("127.0.0.1", 0, Tls(site.certificates, site.ca, site.crl))
    return server


async def greet(port: int, context: ssl.SSLContext, identity: str = "CS-1", **options: Any) -> str:
    """Connect and send a message; the dialect's answer type says that somebody listened."""
    url = f"wss://127.0.0.1:{port}/ocpp/{identity}"
    async with connect(url, ssl=context, subprotocols=["ocpp2.0.1"], proxy=None, **options) as socket:
        await socket.send('[2,"1","BootNotification",' + str(BOOT).replace("'", '"') + "]")
        return str(await socket.recv())


def basic(password: str = "0123456789abcdef") -> dict[str, Any]:
    import base64

    told = base64.b64encode(f"CS-1:{password}".encode()).decode()
    return {"additional_headers": {"Authorization": f"Basic {told}"}}


# Profile 2


@pytest.mark.parametrize("suite", MANDATED)
async def test_each_mandated_suite_works(site, served, suite):
    context = site.client(set_ciphers=suite, maximum_version=ssl.TLSVersion.TLSv1_2)
    assert '"Accepted"' in await greet(served.tls, context, **basic())


async def test_tls_13_works(site, served):
    assert '"Accepted"' in await greet(served.tls, site.client(minimum_version=ssl.TLSVersion.TLSv1_3), **basic())


async def test_password_is_asked_for_under_tls_too(site, served):
    for options in ({}, basic("wrong-wrong-wrong")):
        with pytest.raises(InvalidStatus) as refused:
            await greet(served.tls, site.client(), **options)
        assert refused.value.response.status_code == 401


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"set_ciphers": "AES128-GCM-SHA256:@SECLEVEL=0", "minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1},
        {"set_ciphers": "ALL:@SECLEVEL=0", "minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1},
        {"set_ciphers": "AES128-SHA", "maximum_version": ssl.TLSVersion.TLSv1_2},
        {"set_ciphers": "ECDHE-RSA-AES128-SHA256", "maximum_version": ssl.TLSVersion.TLSv1_2},
        {"set_ciphers": "ECDHE+CHACHA20", "maximum_version": ssl.TLSVersion.TLSv1_2},
        {"set_ciphers": "NULL:eNULL:@SECLEVEL=0", "maximum_version": ssl.TLSVersion.TLSv1_2},
        {"set_ciphers": "aNULL:@SECLEVEL=0", "maximum_version": ssl.TLSVersion.TLSv1_2},
    ],
    ids=["TLS 1.0", "TLS 1.1", "CBC, RSA", "CBC, ECDHE", "ChaCha20", "no encryption", "no authentication"],
)  # fmt: skip
async def test_what_is_too_weak_is_refused_in_the_handshake(site, served, options):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await greet(served.tls, site.client(**options), **basic())
    assert '"Accepted"' in await greet(served.tls, site.client(), **basic()), "a later attempt with more is taken"


async def test_plain_websocket_is_not_spoken_on_a_tls_port(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.tls)
    writer.write(b"GET /ocpp/CS-1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()


# Profile 3


@pytest.mark.parametrize("common", ["CS-1", "SN-1"], ids=["identity", "serial number"])
async def test_certificate_of_the_station_opens_without_a_password(site, served, common):
    answer = await greet(served.mtls, site.client(site.stations.station(common)))
    assert '"Accepted"' in answer


async def test_certificate_of_a_sub_authority_is_good_with_its_chain(site, served):
    assert '"Accepted"' in await greet(served.mtls, site.client(site.sub.station("CS-1")))


async def test_rsa_certificate_is_as_good(site, served):
    certificate = site.stations.station("CS-1", key=pki.rsa_key())
    assert '"Accepted"' in await greet(served.mtls, site.client(certificate))


def bad_certificates(site: Site) -> dict[str, bytes | None]:
    """What TLS itself has to refuse."""
    rogue = Authority("Rogue")
    rogue.name = site.stations.name  # Says that it is the station root.
    leaf_key = pki.ec_key()
    leaf = site.stations.sign(pki.name("CS-9"), leaf_key.public_key(), usage=pki.CLIENT)
    not_ca = Authority.__new__(Authority)
    not_ca.key, not_ca.name, not_ca.certificate, not_ca.chain = leaf_key, leaf.subject, leaf, [leaf]
    selfsigned = Authority("CS-1")
    expired_sub = Authority("Old sub", site.stations, starts=-9 * DAY, ends=-DAY)
    return {
        "none": None,
        "of a foreign authority": site.foreign.station("CS-1"),
        "self-signed": pki.pem(selfsigned.certificate, key=selfsigned.key),
        "of somebody with the name of the authority": rogue.station("CS-1"),
        "expired": site.stations.station("CS-1", starts=-9 * DAY, ends=-DAY),
        "expired a moment ago": site.stations.station("CS-1", starts=-9 * DAY, ends=-DAY / 86400),
        "not valid yet": site.stations.station("CS-1", starts=DAY, ends=9 * DAY),
        "revoked": site.revoked,
        "for servers": site.stations.station("CS-1", usage=pki.SERVER),
        "signed by a station": not_ca.station("CS-1"),
        "of an expired sub-authority": expired_sub.station("CS-1"),
        "RSA of 1,024 bits": site.stations.station("CS-1", key=pki.rsa_key(1024)),
        "EC of 192 bits": site.stations.station("CS-1", key=pki.ec_key(ec.SECP192R1())),
    }


BAD = (
    "none", "of a foreign authority", "self-signed", "of somebody with the name of the authority", "expired",
    "expired a moment ago", "not valid yet", "revoked", "for servers", "signed by a station",
    "of an expired sub-authority", "RSA of 1,024 bits", "EC of 192 bits",
)  # fmt: skip


@pytest.mark.parametrize("which", BAD)
async def test_bad_certificate_is_refused_by_tls(site, served, which):
    context = site.client(set_ciphers="DEFAULT:@SECLEVEL=0")  # The client would send anything.
    certificate = bad_certificates(site)[which]
    if certificate is not None:
        context.load_cert_chain(str(kept(site.folder, "bad.pem", certificate)))
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError, InvalidMessage)):
        await greet(served.mtls, context, open_timeout=5)


async def test_certificate_of_a_sub_authority_is_refused_without_its_chain(site, served):
    key = pki.ec_key()
    alone = pki.pem(site.sub.sign(pki.name("CS-1", "ACME"), key.public_key(), usage=pki.CLIENT), key=key)
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError, InvalidMessage)):
        await greet(served.mtls, site.client(alone))


@pytest.mark.parametrize(
    ("subject", "identity"),
    [
        (pki.name("CS-2", "ACME"), "CS-1"),
        (pki.name("cs-1", "ACME"), "CS-1"),
        (pki.name("CS-1 ", "ACME"), "CS-1"),
        (pki.name("CS-11", "ACME"), "CS-1"),
        (pki.name("*", "ACME"), "CS-1"),
        (pki.name(None, "ACME"), "CS-1"),
        (pki.name("CS-1", "ACME", "CS-2"), "CS-1"),
        (pki.name("CS-2", "ACME", "CS-1"), "CS-1"),
        (pki.name("CS-1", "OTHER"), "CS-1"),
        (pki.name("CS-1"), "CS-1"),
    ],
    ids=["other", "case", "blank", "longer", "wildcard", "nobody", "two", "two turned", "organization", "no organization"],
)  # fmt: skip
async def test_T74_certificate_of_another_is_refused_for_this_identity(site, served, subject, identity):
    context = site.client(site.stations.station(None, subject=subject))
    with capture_logs() as logs, pytest.raises(InvalidStatus) as refused:
        await greet(served.mtls, context, identity)
    assert refused.value.response.status_code == 403
    assert "handshake.refused" in [line["event"] for line in logs]


async def test_unknown_station_is_unknown_with_a_good_certificate_too(site, served):
    with pytest.raises(InvalidStatus) as refused:
        await greet(served.mtls, site.client(site.stations.station("CS-9")), "CS-9")
    assert refused.value.response.status_code == 404


async def test_boot_with_another_serial_number_ends_the_conversation(site, served):
    url = f"wss://127.0.0.1:{served.mtls}/ocpp/CS-1"
    context = site.client(site.stations.station("CS-1"))
    async with connect(url, ssl=context, subprotocols=["ocpp2.0.1"], proxy=None) as socket:
        boot = '{"chargingStation":{"vendorName":"V","model":"M","serialNumber":"CS-2"},"reason":"PowerUp"}'
        await socket.send(f'[2,"1","BootNotification",{boot}]')
        await socket.wait_closed()
        assert socket.close_code == 1008
        assert served.records.events[-1].__struct_config__.tag != "station.booted"


# Renewal


async def test_renewed_certificate_is_served_without_dropping_anybody(site, make_server, tmp_path):
    path = kept(tmp_path, "server.pem", site.root.server(pki.ec_key()))
    server = await make_server(MemoryRecords())
    await server.add_station("CS-1")
    port = await server.gateway.start_tls("127.0.0.1", 0, Tls((path,)))

    async def opened():
        return await connect(
            f"wss://127.0.0.1:{port}/ocpp/CS-1", ssl=site.client(), subprotocols=["ocpp1.6"], proxy=None
        )

    before = await opened()
    serial = before.transport.get_extra_info("peercert")["serialNumber"]
    path.write_bytes(b"half a file")
    await server.gateway.listener.look()
    path.write_bytes(site.root.server(pki.ec_key()))
    await server.gateway.listener.look()
    await server.add_station("CS-2")
    after = await connect(f"wss://127.0.0.1:{port}/ocpp/CS-2", ssl=site.client(), subprotocols=["ocpp1.6"], proxy=None)
    assert after.transport.get_extra_info("peercert")["serialNumber"] != serial
    await before.send('[2,"1","Heartbeat",{}]')
    assert (await before.recv()).startswith('[3,"1"')
    await before.close()
    await after.close()


# What cannot be used


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "There is no file"),
        (b"", "chain and private key"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "chain and private key"),
    ],
)
async def test_unusable_file_is_named_with_what_it_has_to_hold(tmp_path, content, told):
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TlsError, match=told):
        Tls((path,)).context()


async def test_expired_or_weak_server_certificate_is_not_served(site, tmp_path):
    old = kept(tmp_path, "old.pem", site.root.server(pki.ec_key(), starts=-9 * DAY, ends=-DAY))
    with pytest.raises(TlsError, match="expired"):
        Tls((old,)).context()
    weak = kept(tmp_path, "weak.pem", site.root.server(pki.rsa_key(1024)))
    with pytest.raises(TlsError):
        Tls((weak,)).context()
