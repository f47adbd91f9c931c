"""The yardstick: a central system made of the `ocpp` and `websockets` packages, which stores nothing.

python benchmarks/baseline.py --port 9000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import signal
from datetime import UTC, datetime

from ocpp.routing import on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call_result as result16
from ocpp.v16.enums import Action as Action16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call_result as result201
from ocpp.v201.enums import Action as Action201
from websockets.asyncio.server import Server, ServerConnection, basic_auth, serve
from websockets.exceptions import ConnectionClosed

_ids = itertools.count(1)
_ACCEPTED = {"status": "Accepted"}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Station16(ChargePoint16):
    interval = 300

    @on(Action16.boot_notification)
    def on_boot(self, **_):
        return result16.BootNotification(current_time=_now(), interval=self.interval, status="Accepted")

    @on(Action16.heartbeat)
    def on_heartbeat(self, **_):
        return result16.Heartbeat(current_time=_now())

    @on(Action16.status_notification)
    def on_status(self, **_):
        return result16.StatusNotification()

    @on(Action16.authorize)
    def on_authorize(self, **_):
        return result16.Authorize(id_tag_info=_ACCEPTED)

    @on(Action16.start_transaction)
    def on_start(self, **_):
        return result16.StartTransaction(transaction_id=next(_ids), id_tag_info=_ACCEPTED)

    @on(Action16.meter_values)
    def on_meter(self, **_):
        return result16.MeterValues()

    @on(Action16.stop_transaction)
    def on_stop(self, **_):
        return result16.StopTransaction(id_tag_info=_ACCEPTED)

    @on(Action16.data_transfer)
    def on_data(self, **_):
        return result16.DataTransfer(status="UnknownVendorId")


class Station201(ChargePoint201):
    interval = 300

    @on(Action201.boot_notification)
    def on_boot(self, **_):
        return result201.BootNotification(current_time=_now(), interval=self.interval, status="Accepted")

    @on(Action201.heartbeat)
    def on_heartbeat(self, **_):
        return result201.Heartbeat(current_time=_now())

    @on(Action201.status_notification)
    def on_status(self, **_):
        return result201.StatusNotification()

    @on(Action201.authorize)
    def on_authorize(self, **_):
        return result201.Authorize(id_token_info=_ACCEPTED)

    @on(Action201.transaction_event)
    def on_event(self, **fields):
        verdict = _ACCEPTED if "id_token" in fields else None
        return result201.TransactionEvent(id_token_info=verdict)

    @on(Action201.meter_values)
    def on_meter(self, **_):
        return result201.MeterValues()

    @on(Action201.data_transfer)
    def on_data(self, **_):
        return result201.DataTransfer(status="UnknownVendorId")


_STATIONS = {"ocpp1.6": Station16, "ocpp2.0.1": Station201}


async def _talk(socket: ServerConnection) -> None:
    station = _STATIONS[socket.subprotocol](socket.request.path.rpartition("/")[2], socket)
    with contextlib.suppress(ConnectionClosed):
        await station.start()


async def start_baseline(port: int = 0, host: str = "127.0.0.1", password: str | None = None) -> Server:
    """Serve until the returned server is closed; port 0 takes a free one. With `password` all stations need it."""
    check = basic_auth(realm="ocpp", check_credentials=lambda name, given: given == password) if password else None
    return await serve(
        _talk, host, port, subprotocols=list(_STATIONS), compression=None, ping_interval=None, process_request=check
    )


async def _main(host: str, port: int, password: str | None) -> None:
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await start_baseline(port, host, password)
    print(f"listening on {server.sockets[0].getsockname()}", flush=True)
    await stop.wait()
    server.close()
    await server.wait_closed()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=9000)
    arguments.add_argument("--password", help="asked of every station")
    given = arguments.parse_args()
    asyncio.run(_main(given.host, given.port, given.password))
