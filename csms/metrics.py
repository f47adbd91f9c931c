"""What the server counts, for Prometheus. Never labelled by station: that would be a million series."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from csms.bus.mqtt import MqttMetrics
from csms.bus.stream import StreamMetrics
from csms.cluster.membership import Membership
from csms.gateway.server import Gateway


class GatewayMetrics(Collector):
    """Reads the gateway's counters when it is asked; nothing is updated on the way of a message."""

    def __init__(self, gateway: Gateway):
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        gateway = self._gateway
        yield GaugeMetricFamily("csms_workers", "Processes that this answer tells of.", 1.0)
        yield GaugeMetricFamily("csms_stations_connected", "Stations connected to these processes.", gateway.connected)
        yield GaugeMetricFamily("csms_handshakes_open", "Handshakes under way.", len(gateway.handshakes))
        yield GaugeMetricFamily(
            "csms_storage_failing", "1 while nothing can be stored.", float(gateway.records.failing)
        )
        refused = CounterMetricFamily("csms_handshakes_refused", "Handshakes refused, by status.", labels=["status"])
        for status, count in gateway.refused.items():
            refused.add_metric([str(status)], count)
        yield refused
        messages = CounterMetricFamily("csms_messages", "Calls of stations, by action.", labels=["action"])
        for action, count in gateway.messages.items():
            messages.add_metric([action], count)
        yield messages


class NodeMetrics(Collector):
    """This node among the others."""

    def __init__(self, membership: Membership):
        self._membership = membership

    def collect(self) -> Iterator[Metric]:
        membership = self._membership
        yield GaugeMetricFamily("csms_node_lives", "Nodes whose lease holds.", float(membership.lives))
        yield GaugeMetricFamily("csms_node_leads", "1 where events are carried from.", float(membership.leads))
        yield CounterMetricFamily("csms_nodes_buried", "Lost nodes whose stations were marked away.", membership.buried)
        yield CounterMetricFamily(
            "csms_stations_taken_over", "Stations taken from another node.", membership.taken_over
        )


class MqttCounters(Collector):
    """How far the broker has got."""

    def __init__(self, metrics: MqttMetrics):
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield GaugeMetricFamily("csms_mqtt_connected", "1 while the broker is reached.", float(metrics.connected))
        yield GaugeMetricFamily("csms_mqtt_lag", "Units of events the broker has not acknowledged.", metrics.lag)
        yield CounterMetricFamily("csms_mqtt_events", "Events acknowledged by the broker.", metrics.events)
        yield CounterMetricFamily("csms_mqtt_states_dropped", "State messages skipped.", metrics.states_dropped)


class StreamCounters(Collector):
    """Who follows the events, and how much they get."""

    def __init__(self, metrics: StreamMetrics):
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield GaugeMetricFamily("csms_event_readers", "Who follows the events (SSE).", metrics.readers)
        yield CounterMetricFamily("csms_event_readers_dropped", "Readers that were too slow.", metrics.dropped)
        yield CounterMetricFamily("csms_events_streamed", "Events sent to readers.", metrics.events)


def exposition(*collectors: Collector) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)
