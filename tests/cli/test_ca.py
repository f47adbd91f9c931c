"""`csms ca …`"""

from __future__ import annotations

from pathlib import Path


def test_authority_is_made_once_and_shown(cli, tmp_path: Path):
    folder = tmp_path / "ca"
    told = cli("ca", "init", "--organization", "ACME", "--folder", str(folder)).stdout
    assert f"CSMS_CA_FOLDER={folder}" in told and "csms ca server" in told
    assert "PRIVATE" not in told
    again = cli.json("ca", "init", "--organization", "ACME", env={"CSMS_CA_FOLDER": str(folder)})
    assert again == {"folder": str(folder), "made": []}
    cli("ca", "server", "csms.example", "--folder", str(folder))
    rows = cli.json("ca", "show", "--folder", str(folder))
    assert [row["file"] for row in rows] == [
        "stations.crt",
        "server.crt",
        "v2g.crt",
        "server-rsa.pem",
        "server-ecdsa.pem",
    ]
    assert {path.stat().st_mode & 0o777 for path in folder.glob("server-*.pem")} == {0o600}


def test_what_is_missing_is_told_with_advice(cli, tmp_path: Path):
    assert "CSMS_CA_FOLDER" in cli.fails("ca", "show")
    assert "csms ca init" in cli.fails("ca", "server", "csms.example", "--folder", str(tmp_path))


def test_issued_certificates_are_listed_and_revoked(served):
    assert "No certificate was issued yet" in served("ca", "list").stdout
    assert served.json("ca", "list") == []
    assert "abc" in served.fails("ca", "revoke", "abc")
