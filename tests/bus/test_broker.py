"""A broker's address: what people write, and what never gets out."""

from __future__ import annotations

import pytest

from csms.bus.broker import BrokerAddress, BrokerUrlError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker", BrokerAddress("broker", 1883)),
        ("mqtts://broker", BrokerAddress("broker", 8883, tls=True)),
        ("mqtt://user:pw@10.0.0.1:1999", BrokerAddress("10.0.0.1", 1999, False, "user", "pw")),
        ("mqtt://[::1]:1884/", BrokerAddress("::1", 1884)),
        ("mqtt://us%40er:p%2Fw%25@broker", BrokerAddress("broker", 1883, False, "us@er", "p/w%")),
        ("mqtt://user@broker", BrokerAddress("broker", 1883, False, "user", None)),
    ],
)
def test_url_names_host_port_and_credentials(url: str, address: BrokerAddress) -> None:
    assert BrokerAddress.parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker:1883",
        "http://user:secret@broker",
        "mqtt://",
        "mqtt://u:secret@h:99999",
        "mqtt://[u:secret@h",
    ],
)
def test_what_names_no_broker_is_refused_with_the_remedy_and_without_the_secret(url: str) -> None:
    with pytest.raises(BrokerUrlError, match="mqtt://user:password@host") as refused:
        BrokerAddress.parse(url)
    assert "secret" not in str(refused.value)


def test_password_is_in_no_text_of_an_address() -> None:
    address = BrokerAddress.parse("mqtt://user:secret@broker")
    assert str(address) == "broker:1883"
    assert "secret" not in repr(address)
