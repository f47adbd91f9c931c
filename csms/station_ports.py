"""The ports stations come in by, one for each security profile, as the settings have them."""

from __future__ import annotations

from csms.gateway.server import Gateway
from csms.gateway.tls import Tls, TlsError
from csms.settings import Settings
from csms.storage.place import StartError
from csms.trust.parts import TlsFiles, tls_files


async def open_ports(gateway: Gateway, settings: Settings, *, shared: bool) -> None:
    """Listen. `shared`: other processes listen on the same ports. StartError says what to change."""
    try:
        await gateway.start(settings.ocpp_host, settings.ocpp_port, reuse_port=shared)
    except OSError as error:
        raise _taken(settings, settings.ocpp_port, error, "CSMS_OCPP_PORT") from None
    for tls, port, setting in tls_ports(settings):
        try:
            await gateway.start_tls(settings.ocpp_host, port, tls, reuse_port=shared)
        except TlsError as error:
            raise StartError(f"{error} See CSMS_TLS_…") from None
        except OSError as error:
            raise _taken(settings, port, error, setting) from None


def _taken(settings: Settings, port: int, error: OSError, setting: str) -> StartError:
    return StartError(
        f"Cannot listen on {settings.ocpp_host}:{port} ({error.strerror or error}). "
        f"Choose another {setting}, or stop what uses it."
    )


def tls_ports(settings: Settings) -> list[tuple[Tls, int, str]]:
    """The ports of security profiles 2 and 3, as far as there are certificates for them."""
    given = TlsFiles(settings.tls_certificates, settings.tls_client_ca, settings.tls_client_crl)
    files = tls_files(given, settings.ca_folder)
    if not files.certificates:
        if settings.tls_client_ca is not None:
            raise StartError("CSMS_TLS_CLIENT_CA needs the server's own certificates, too: CSMS_TLS_CERTIFICATES.")
        return []
    ports = [(Tls(files.certificates), settings.ocpp_tls_port, "CSMS_OCPP_TLS_PORT")]
    if files.client_ca is not None:
        mutual = Tls(files.certificates, files.client_ca, files.client_crl)
        ports.append((mutual, settings.ocpp_mtls_port, "CSMS_OCPP_MTLS_PORT"))
    return ports
