"""`csms tail` and `csms trail`: what happens now, and what a station and the system said to each other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from csms.cli.client import Client, ConnectionLost, with_client
from csms.cli.show import Config, Json, OperatorName, ServerUrl, moment, plain, put_json, run, table

_AGAIN = 1.0  # s until a lost connection is made again
_ENVELOPE = ("event_id", "operator", "station", "type", "at")


def tail(
    station: Annotated[list[str] | None, typer.Argument(help="Only these stations; left out: all.")] = None,
    type: Annotated[list[str] | None, typer.Option(help="Only such events: session.opened, session.* …")] = None,
    operator: Annotated[str | None, typer.Option(help="Only events of this operator's stations.")] = None,
    after: Annotated[str | None, typer.Option(help="Begin behind this event_id; 0: with the oldest kept.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Follow what happens on a running server, until Ctrl-C. A lost connection is made again; nothing is left out."""
    wanted = {"type": type or [], "station_id": station or [], "operator": operator}

    async def work(client: Client) -> None:
        params = {key: value for key, value in wanted.items() if value}
        left = count
        # Closed here, from the outside in: what is left open at the end of the loop is closed in any order, and complains.
        async with aclosing(_followed(client, params, after)) as following:
            async for event in following:
                put_json(event) if as_json else print(told(event), flush=True)
                if left is not None and (left := left - 1) == 0:
                    return

    try:
        run(lambda: with_client(config, work, server), as_json)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _followed(client: Client, params: dict[str, Any], after: str | None) -> AsyncGenerator[dict[str, Any], None]:
    """Events without end, over as many connections as it takes."""
    met = False  # Whether it ever was there.
    while True:
        try:
            async with aclosing(client.lines("/events", params | ({} if after is None else {"after": after}))) as lines:
                async for name, value in lines:
                    met = True
                    if name == "id":
                        after = value
                    elif name == "data":
                        yield msgspec.json.decode(value)
        except ConnectionLost as error:
            if not met:
                raise
            print(f"{error} It is tried again.", file=sys.stderr)
        await asyncio.sleep(_AGAIN)


def told(event: dict[str, Any]) -> str:
    """An event, for people."""
    if "station" not in event:  # That some are not kept any more.
        return plain(msgspec.json.encode(event).decode())
    rest = " ".join(f"{name}={plain(value)}" for name, value in event.items() if name not in _ENVELOPE)
    return f"{moment(event['at'])}  {plain(event['station'])}  {event['type']}  {rest}".rstrip()


def trail(
    station: Annotated[str, typer.Argument(help="The station's identity.")],
    action: Annotated[str | None, typer.Option(help="Only this OCPP action.")] = None,
    session: Annotated[int | None, typer.Option(help="Only what concerns this session.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 20,
    trace: Annotated[
        float | None,
        typer.Option(min=0, help="Keep everything it says for so many seconds, heartbeats too; 0: no more."),
    ] = None,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Show the latest messages between a station and a running server, the oldest first; secrets are masked."""
    path = f"/stations/{quote(station, safe='')}"
    listed = f"{path}/messages" if session is None else f"/sessions/{session}/messages"
    params = {"operator": operator, "action": action} if session is None else {}

    async def work(client: Client) -> list[dict[str, Any]]:
        if trace is not None:
            await _trace(client, f"{path}/trace", operator, trace)
        return await client.pages(listed, params, limit)

    messages = run(lambda: with_client(config, work, server), as_json)
    messages.reverse()
    if as_json:
        put_json(messages)
        return
    columns = {
        "at": lambda row: moment(row["at"]),
        "": lambda row: "→ station" if row["direction"] == "to_station" else "← station",
        "action": lambda row: row["action"],
        "outcome": lambda row: row["outcome"],
        "message": lambda row: _text(row["frame"]),
        "answer": lambda row: _text(row["answer"]) if row["answer"] else row["reason"],
    }
    table(messages, columns, "Nothing was said lately.")


async def _trace(client: Client, path: str, operator: str, seconds: float) -> None:
    if seconds:
        until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        await client.ask("PUT", path, params={"operator": operator}, json={"until": until})
    else:
        await client.ask("DELETE", path, params={"operator": operator})


def _text(frame: Any) -> str:
    """What a frame carries, without what stands in the other columns."""
    if not isinstance(frame, list) or len(frame) < 3:
        return str(frame)
    payload = frame[-1] if frame[0] in (2, 3) else frame[2:4]
    return msgspec.json.encode(payload).decode()
