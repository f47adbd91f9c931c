"""`csms bulk`"""

from __future__ import annotations


def test_stations_that_are_away_are_told_one_by_one(served):
    for station in ("CS-A", "CS-B", "CS-C"):
        served("station", "add", station)
    told = served(
        "bulk", "start", "reset", '{"type": "hard"}', "--station", "CS-A", "--station", "CS-B", status=1
    ).stdout
    assert "is done: 2 stations: 2 offline" in told
    (listed,) = served.json("bulk", "list")
    assert (listed["verb"], listed["stations"], listed["status"]) == ("reset", 2, "done")
    shown = served.json("bulk", "show", str(listed["id"]), "--follow")
    assert [(item["station_id"], item["state"]) for item in shown["items"]] == [
        ("CS-A", "offline"),
        ("CS-B", "offline"),
    ]
    assert "CS-A" in served("bulk", "show", str(listed["id"])).stdout
    assert "reset" in served("bulk", "list").stdout
    assert "ended already" in served.fails("bulk", "cancel", str(listed["id"]))


def test_one_that_waits_for_its_stations_is_cancelled(served):
    served("station", "add", "CS-A")
    begun = served.json("bulk", "start", "ClearCache", "--all", "--queue", "600", "--no-follow")
    assert (begun["action"], begun["status"]) == ("ClearCache", "running")
    assert "is cancelled" in served("bulk", "cancel", str(begun["id"])).stdout


def test_nobody_is_asked_by_mistake(served):
    before = served.json("bulk", "list")
    assert "filter" in served.fails("bulk", "start", "ClearCache")
    assert "levitate" in served.fails("bulk", "start", "levitate", "--all")
    assert "JSON" in served("bulk", "start", "reset", "hard", "--all", status=2).stderr
    assert served.json("bulk", "list") == before
