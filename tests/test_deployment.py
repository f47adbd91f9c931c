"""The shipped deployment files say what the program understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from csms.settings import Settings

CONFIG = Path(__file__).parents[1] / "config"


@pytest.mark.parametrize("name", ["compose.yml", "kubernetes.yml"])
def test_every_setting_that_is_named_exists(name: str):
    named = set(re.findall(r"\bCSMS_([A-Z0-9_]+)", (CONFIG / name).read_text("utf-8")))
    assert {each.lower() for each in named} <= {*Settings.model_fields}


def test_compose_tells_haproxy_all_it_asks_for():
    asked = set(re.findall(r"\$\{(\w+)\}", (CONFIG / "haproxy.cfg").read_text("utf-8")))
    told = set(re.findall(r"^ +([A-Z0-9_]+): ", (CONFIG / "compose.yml").read_text("utf-8"), re.M))
    assert asked <= told


def test_operators_may_read_their_own_topics_only():
    rules = [line for line in (CONFIG / "mosquitto.acl").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert rules == [
        "user csms",
        "topic readwrite csms/v1/#",
        "topic readwrite csms/nodes/v1/#",
        "pattern read csms/v1/%u/#",
    ]


def test_no_secret_is_shipped():
    for name in ("compose.yml", "kubernetes.yml"):
        for line in (CONFIG / name).read_text("utf-8").splitlines():
            if re.match(r"\s+(CSMS_\w*(KEY|PASSWORD)|POSTGRES_PASSWORD|MQTT_PASSWORD):", line):
                assert "${" in line, line
