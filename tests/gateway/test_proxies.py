"""A proxy that ends TLS in front: its word counts, nobody else's (N15)."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from csms.gateway.admission import Refused
from csms.gateway.proxies import Proxies, Seen
from csms.storage.memory import MemoryRecords
from tests import pki
from tests.pki import DAY, Authority

STATIONS = Authority("Station root")
PASSWORD = b"0123456789abcdef"


class Link:
    def __init__(self, address: str | None):
        self.address = address
        self.behind: Seen | None = None


def seen(headers: dict[str, str] | list[tuple[str, str]], address: str | None = "10.0.0.1") -> Seen | None:
    link = Link(address)
    found = Headers(headers)
    assert Proxies(["10.0.0.0/24", "fd00::/8"]).look_behind(link, found) is (link.behind is not None)
    return link.behind


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"), ("203.0.113.9:5123", "203.0.113.9"), ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"), ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9"), ("6.6.6.6, nonsense", "10.0.0.1"), ("nonsense", "10.0.0.1"),
        ("", "10.0.0.1"), ("10.0.0.9", "10.0.0.9"), ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
    ],
)  # fmt: skip
def test_address_is_the_last_that_is_no_proxy(forwarded, address):
    assert seen({"X-Forwarded-For": forwarded}).address == address


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.1.1", None, "unix", "::1", "127.0.0.1"])
def test_headers_of_others_are_ignored(address):
    told = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", **certificate("CS-1")}
    assert seen(told, address) is None


def test_proxy_may_come_by_ipv6_and_by_mapped_addresses():
    for address in ("fd00::5", "::ffff:10.0.0.1"):
        assert seen({"X-Forwarded-For": "203.0.113.9"}, address).address == "203.0.113.9"


@pytest.mark.parametrize(("proto", "profile"), [("https", 2), ("WSS", 2), ("http", 1), ("ws", 1), ("", 1)])
def test_profile_follows_from_how_the_station_came(proto, profile):
    assert seen({"X-Forwarded-Proto": proto}).profile == profile


def certificate(common: str, organization: str = "ACME", form: str = "percent", **options: Any) -> dict[str, str]:
    made = pki.first(STATIONS.station(common, organization, **options))
    text = made.public_bytes(Encoding.PEM).decode()
    told = {
        "percent": quote(text), "base64": base64.b64encode(made.public_bytes(Encoding.DER)).decode(),
        "blanks": text.replace("\n", " "),
    }[form]  # fmt: skip
    return {"X-Client-Cert": told, "X-Client-Verify": "SUCCESS", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize("form", ["percent", "base64", "blanks"])
def test_certificate_is_read_in_each_form(form):
    found = seen(certificate("CS-1", form=form))
    assert (found.profile, found.certificate.common_name, found.certificate.organizations) == (3, "CS-1", ("ACME",))
    assert int(found.certificate.serial, 16)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (certificate("CS-1") | {"X-Client-Verify": "NONE"}, 403), (certificate("CS-1") | {"X-Client-Verify": ""}, 403),
        (certificate("CS-1") | {"X-Client-Verify": "FAILED:expired"}, 403),
        (certificate("CS-1") | {"X-Client-Verify": "20"}, 403),
        (certificate("CS-1") | {"X-Forwarded-Proto": "http"}, 400), (certificate("CS-1") | {"X-Client-Cert": "nonsense"}, 400),
        (certificate("CS-1", starts=-9 * DAY, ends=-DAY), 403), (certificate("CS-1", starts=DAY), 403),
        ([*certificate("CS-1").items(), ("X-Client-Cert", "forged")], 400),
        ([*certificate("CS-1").items(), ("X-Client-Verify", "SUCCESS")], 400),
        ([("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")], 400),
    ],
)  # fmt: skip
def test_word_of_a_proxy_that_does_not_fit_is_refused(told, status):
    with pytest.raises(Refused) as refused:
        seen(told)
    assert refused.value.status == status


# Over sockets


async def site(make_server, *networks: str):
    server = await make_server(MemoryRecords(), organization="ACME", proxies=Proxies(networks))
    await server.add_station("CS-1", password=PASSWORD, security_profile=3)
    return server


async def refusal(server, **options: Any) -> int:
    with pytest.raises(InvalidStatus) as refused:
        await server.connect("CS-1", **options)
    return refused.value.response.status_code


async def test_station_comes_in_by_the_certificate_that_the_proxy_saw(make_server):
    server = await site(make_server, "127.0.0.0/8")
    headers = certificate("CS-1") | {"X-Forwarded-For": "203.0.113.9"}
    client = await server.connect("CS-1", headers=headers)
    assert (await client.boot())["status"] == "Accepted"
    (station,) = server.gateway.stations.values()
    assert (station.link.address, station.link.profile, station.common_name) == ("203.0.113.9", 3, "CS-1")


async def test_certificate_of_another_is_refused_through_a_proxy_too(make_server):
    server = await site(make_server, "127.0.0.0/8")
    assert await refusal(server, headers=certificate("CS-2")) == 403
    assert await refusal(server, headers=certificate("CS-1", "OTHER")) == 403
    assert await refusal(server, password=PASSWORD, headers={"X-Forwarded-Proto": "https"}) == 403, "no certificate"
    server.gateway.revoked = lambda serial: True
    assert await refusal(server, headers=certificate("CS-1")) == 403


async def test_forged_headers_open_nothing(make_server):
    server = await site(make_server, "10.0.0.0/8")
    headers = certificate("CS-1") | {"X-Forwarded-For": "10.0.0.1"}
    assert await refusal(server, headers=headers) == 403
    assert await refusal(server, headers=headers, password=PASSWORD) == 403, "the profile is the port's own"


async def test_limits_count_by_the_stations_own_address(make_server):
    from csms.gateway.limits import Limits

    limits = Limits(drain=2.0, guesses=2, exempt=(), shared=("127.0.0.0/8",))
    server = await make_server(MemoryRecords(), limits=limits, proxies=Proxies(["127.0.0.0/8"]))
    await server.add_station("CS-1", password=PASSWORD)
    wrong = {"password": b"wrong-wrong-wrong", "headers": {"X-Forwarded-For": "203.0.113.66"}}
    assert [await refusal(server, **wrong) for _ in range(4)] == [401, 401, 429, 429]
    client = await server.connect("CS-1", password=PASSWORD, headers={"X-Forwarded-For": "203.0.113.7"})
    assert (await client.boot())["status"] == "Accepted"
