"""`csms tariff …`"""

from __future__ import annotations


def test_prices_are_set_and_listed(served):
    assert "charging is free" in served("tariff", "list").stdout
    told = served("tariff", "set", "--currency", "EUR", "--kwh", "0.45", "--session", "1").stdout
    assert told.startswith("New prices of operator default hold from ")
    (row,) = served.json("tariff", "list")
    assert (row["price_per_kwh"], row["price_per_minute"], row["price_per_session"]) == ("0.45", "0", "1")
    assert "0.45" in served("tariff", "list").stdout


def test_wrong_prices_are_told_with_advice(served):
    assert "price_per_kwh" in served.fails("tariff", "set", "--currency", "EUR", "--kwh", "-1")
    assert "past" in served.fails("tariff", "set", "--currency", "EUR", "--from", "2020-01-01T00:00:00Z")
