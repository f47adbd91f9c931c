"""What Prometheus reads."""

from __future__ import annotations

from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from csms.bus.mqtt import MqttMetrics
from csms.domain.credentials import Vault
from csms.gateway.server import Gateway
from csms.metrics import GatewayMetrics, MqttCounters, exposition
from csms.storage.memory import MemoryRecords


def read(*collectors) -> dict[tuple[str, str | None], float]:
    """(name, its one label's value) → value."""
    families = text_string_to_metric_families(exposition(*collectors).decode())
    return {
        (sample.name, next(iter(sample.labels.values()), None)): sample.value
        for family in families
        for sample in family.samples
    }


def gateway() -> Gateway:
    return Gateway(records=MemoryRecords(), vault=Vault(b"a key for tests only"))


def test_idle_gateway_counts_nothing():
    found = read(GatewayMetrics(gateway()))
    assert found[("csms_stations_connected", None)] == 0
    assert found[("csms_handshakes_open", None)] == 0
    assert found[("csms_storage_failing", None)] == 0
    assert found[("csms_messages_total", "BootNotification")] == 0


def test_gateway_is_read_when_it_is_asked():
    busy = gateway()
    busy.messages["Heartbeat"] += 3
    busy.refused[404] = 2
    busy.handshakes = {object(): 1}
    busy.stations = {1: SimpleNamespace(link=object()), 2: SimpleNamespace(link=None)}
    busy.records.failing = True
    found = read(GatewayMetrics(busy))
    assert found[("csms_messages_total", "Heartbeat")] == 3
    assert found[("csms_handshakes_refused_total", "404")] == 2
    assert found[("csms_handshakes_open", None)] == 1
    assert found[("csms_stations_connected", None)] == 1
    assert found[("csms_storage_failing", None)] == 1


def test_broker_tells_how_far_it_has_got():
    metrics = MqttMetrics()
    metrics.connected, metrics.lag, metrics.events = True, 7, 9
    found = read(MqttCounters(metrics))
    assert found[("csms_mqtt_connected", None)] == 1
    assert found[("csms_mqtt_lag", None)] == 7
    assert found[("csms_mqtt_events_total", None)] == 9


def test_every_metric_has_a_word_of_explanation():
    for family in text_string_to_metric_families(exposition(GatewayMetrics(gateway())).decode()):
        assert family.documentation


def test_no_series_for_each_station():
    """That would be a million of them."""
    known = {name for name, _ in read(GatewayMetrics(gateway()))}
    busy = gateway()
    busy.stations = {number: SimpleNamespace(link=object()) for number in range(100)}
    assert {name for name, _ in read(GatewayMetrics(busy))} == known
