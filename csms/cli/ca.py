"""`csms ca …`: the certificate authority that signs for stations and for this server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from csms.cli.client import CommandError, with_client
from csms.cli.show import Config, Json, ServerUrl, moment, put_json, run, table
from csms.settings import SettingsError, load_settings

app = typer.Typer(help="Certificates: make an authority, sign, list, revoke.", no_args_is_help=True)

Folder = Annotated[Path | None, typer.Option(help="Else the setting ca_folder.")]


@app.command()
def init(
    organization: Annotated[str, typer.Option(help="What stations' certificates have to name (O): your CpoName.")],
    folder: Folder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make the authorities that the folder lacks; what is there stays as it is."""
    from csms.trust import authority

    def work() -> tuple[Path, list[Path]]:
        place = _folder(folder, config)
        return place, authority.create(place, organization, datetime.now(UTC))

    place, made = run(work, as_json)
    if as_json:
        put_json({"folder": str(place), "made": [str(path) for path in made]})
        return
    for path in made:
        print(f"Made {path}, its key beside it: back up the folder, and let nobody read it.")
    if not made:
        print(f"{place} has its authorities already.")
    print(f"Use it: CSMS_CA_FOLDER={place}   Next, this server's own certificates: csms ca server NAME")


@app.command()
def server(
    names: Annotated[list[str], typer.Argument(help="The names and addresses stations connect to.")],
    days: Annotated[float, typer.Option(min=1, help="How long they hold.")] = 398,
    folder: Folder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Sign certificates for this server's TLS ports, one RSA and one ECDSA; a running server takes them at once."""
    from csms.trust.authority import Authority, new_key, write_private
    from csms.trust.parts import SERVER_FILES

    def work() -> list[Path]:
        place, now = _folder(folder, config), datetime.now(UTC)
        signer = _authority(Authority, place, "server")
        for file, kind in zip(SERVER_FILES, ("rsa", "ecdsa"), strict=True):
            write_private(place / file, signer.server(names, new_key(kind), now, timedelta(days=days)))
        return [place / file for file in SERVER_FILES]

    made = run(work, as_json)
    if as_json:
        put_json({"files": [str(path) for path in made]})
    else:
        print(f"Made {' and '.join(map(str, made))}. Stations have to trust {made[0].parent / 'server.crt'}.")


@app.command()
def show(folder: Folder = None, config: Config = None, as_json: Json = False) -> None:
    """Show the authorities and the server's certificates: who they are, until when they hold."""
    from csms.trust.authority import ROLES
    from csms.trust.parts import SERVER_FILES

    def work() -> list[dict[str, Any]]:
        place = _folder(folder, config)
        files = [place / f"{role}.crt" for role in ROLES] + [place / file for file in SERVER_FILES]
        return [_told(path) for path in files if path.exists()]

    found = run(work, as_json)
    if as_json:
        put_json(found)
        return
    columns = {
        "FILE": lambda row: row["file"], "SUBJECT": lambda row: row["subject"],
        "UNTIL": lambda row: moment(row["expires_at"]), "SHA-256": lambda row: row["fingerprint"][:16],
    }  # fmt: skip
    table(found, columns, "There is no authority here: csms ca init --organization NAME")


@app.command("list")
def list_(
    station: Annotated[str | None, typer.Option(help="Of this station only.")] = None,
    status: Annotated[str | None, typer.Option(help="issued, installed, refused or revoked.")] = None,
    operator: Annotated[str | None, typer.Option(help="Of this operator only.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1)] = 100,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """List the certificates that were issued to stations, the latest first."""
    params = {"station_id": station, "status": status, "operator": operator}
    found = run(lambda: with_client(config, lambda c: c.pages("/certificates", params, most), server), as_json)
    if as_json:
        put_json(found)
        return
    columns = {
        "STATION": lambda row: row["station_id"], "KIND": lambda row: row["kind"], "STATUS": lambda row: row["status"],
        "UNTIL": lambda row: moment(row["expires_at"]), "SERIAL": lambda row: row["serial"],
    }  # fmt: skip
    table(found, columns, "No certificate was issued yet: stations ask for them, or are asked to (csms command).")


@app.command()
def revoke(
    serial: Annotated[str, typer.Argument(help="As `csms ca list` shows it.")],
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Let a station's certificate hold no longer; the station that uses it is sent away."""
    run(lambda: with_client(config, lambda c: c.ask("POST", f"/certificates/{serial}/revoke"), server), as_json)
    if as_json:
        put_json({"serial": serial, "status": "revoked"})
    else:
        print(f"{serial} is revoked.")


def _folder(given: Path | None, config: Path | None) -> Path:
    try:
        place = given or load_settings(config).ca_folder
    except SettingsError as error:
        raise CommandError(str(error)) from None
    if place is None:
        raise CommandError("Say where the authority is: --folder FOLDER, or the setting CSMS_CA_FOLDER.")
    return place


def _authority(make: Any, place: Path, role: str) -> Any:
    from csms.trust.authority import AuthorityFolderError

    try:
        return make(place, role)
    except AuthorityFolderError as error:
        raise CommandError(str(error)) from None


def _told(path: Path) -> dict[str, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read ({error}).") from None
    return {
        "file": path.name, "subject": certificate.subject.rfc4514_string(),
        "expires_at": certificate.not_valid_after_utc.isoformat(),
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
    }  # fmt: skip
