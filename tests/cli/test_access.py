"""`csms operator …`, `csms user …`, `csms key …`"""

from __future__ import annotations


def test_operator_is_added_listed_and_deleted(served):
    assert served("operator", "add", "red", "--display-name", "Red AG").stdout == "Operator red is there.\n"
    assert "Red AG" in served("operator", "list").stdout
    assert served("operator", "delete", "red").stdout == "Operator red is gone.\n"
    assert "no operator" in served.fails("operator", "delete", "red")


def test_user_gets_a_password_that_is_shown_once(served):
    served("operator", "add", "blue")
    made = served.json("user", "add", "bob", "--role", "operator", "--operator", "blue")
    assert (made["role"], made["operator"], len(made["password"])) == ("operator", "blue", 20)
    listed = served("user", "list", "--operator", "blue").stdout
    assert "bob" in listed and made["password"] not in listed
    changed = served("user", "change", str(made["id"]), "--disabled", "--role", "viewer").stdout
    assert changed == "User bob is viewer, disabled.\n"
    assert served("user", "delete", str(made["id"])).stdout == f"User {made['id']} is gone.\n"
    assert "body.role" in served.fails("user", "add", "eve", "--role", "root")


def test_key_is_shown_once_and_opens_the_api(served):
    told = served("key", "add", "reader", "--expires", "2099-01-01T00:00:00Z").stdout
    key = told.splitlines()[1].split()[0]
    url = served.said("API:").split()[0].removesuffix("/api/v1")
    assert served("token", "list", "--server", url, env={"CSMS_ADMIN_KEY": key}).stdout
    assert "edit" in served.fails("token", "add", "X", "--server", url, env={"CSMS_ADMIN_KEY": key})
    listed = served("key", "list").stdout
    assert "reader" in listed and "2099-01-01" in listed and key not in listed
    number = next(row["id"] for row in served.json("key", "list") if row["name"] == "reader")
    served("key", "delete", str(number))
    assert "valid API key" in served.fails("token", "list", "--server", url, env={"CSMS_ADMIN_KEY": key})
