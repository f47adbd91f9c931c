"""The README's commands run as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.reference import reference_session
from tests.journeys.processes import ROOT, environment, free_port
from tests.live.broker import PASSWORD, USER, Broker

README = (ROOT / "README.md").read_text()


def commands_of(section: str) -> list[str]:
    """The shell commands of a section, in order; continued lines joined."""
    text = README.partition(f"## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert blocks, f"the README has no commands under «{section}»"
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


class Shell:
    """A shell in an empty folder, with `csms` and `csms-sim` on its path."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.ocpp_port, self.http_port = free_port(), free_port()
        programs = directory / "bin"
        programs.mkdir()
        for name, module in (("csms", "csms"), ("csms-sim", "simulators")):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.environment = environment(ocpp_port=self.ocpp_port, http_port=self.http_port)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        self.server: asyncio.subprocess.Process | None = None
        self.admin_key = ""

    async def run(self, command: str) -> str:
        process = await asyncio.create_subprocess_shell(
            command, cwd=self.directory, env=self.environment, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await process.communicate()
        assert process.returncode == 0, f"{command}: {out.decode()} {errors.decode()}"
        return out.decode()

    async def serve(self) -> None:
        self.server = await asyncio.create_subprocess_shell(
            "exec csms serve", cwd=self.directory, env=self.environment, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(30):
            while not (line := (await self.server.stdout.readline()).decode()).startswith("Data:"):
                assert line, "the server ended"
                if line.startswith("Admin API key"):
                    self.admin_key = line.split()[-1]

    async def running_session(self) -> str:
        async with asyncio.timeout(30):
            while not (found := json.loads(await self.run("csms session list --status active --json"))):
                await asyncio.sleep(0.05)
        return str(found[0]["id"])


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    made = Shell(tmp_path)
    yield made
    if made.server is not None:
        made.server.terminate()
        await made.server.wait()


async def test_a_charger_is_connected_and_operated_as_the_readme_says(shell: Shell) -> None:
    station: asyncio.Task | None = None
    password = ""
    for command in commands_of("Connect your own charger in five minutes"):
        if command.startswith("pip install"):
            continue  # `make test` has installed this checkout.
        if command == "csms serve":
            await shell.serve()
            url = f"ws://127.0.0.1:{shell.ocpp_port}/ocpp"
            station = asyncio.create_task(
                reference_session(url, "CP-001", "1.6", password=password, token="04A2B3C4", remote=True, timeout=300)
            )
            await until_it_reports(shell)
            continue
        if "<session>" in command:
            command = command.replace("<session>", await shell.running_session())
        out = await shell.run(command)
        if found := re.search(r"Password:\s+(\S+)", out):
            password = found[1]
    await station
    await operate_over_http(shell, password)


async def test_a_thousandth_of_a_country_runs_as_the_readme_says(shell: Shell) -> None:
    await shell.serve()
    commands = commands_of("A whole country: 1.02 million piles")
    for command in commands[:-1]:
        out = await shell.run(command)
    assert "13" in out and "1020" in out
    run = commands[-1].replace("--for 60", "--for 12").replace("all@30", "all@8")
    told = json.loads(await shell.run(f"{run} --url ws://127.0.0.1:{shell.ocpp_port}/ocpp --ramp 300 --drain 5 --json"))
    assert told["stations_connected"] > 1000


async def operate_over_http(shell: Shell, password: str) -> None:
    url = f"ws://127.0.0.1:{shell.ocpp_port}/ocpp"
    station = asyncio.create_task(
        reference_session(url, "CP-001", "1.6", password=password, token="04A2B3C4", remote=True, timeout=300)
    )
    await until_it_reports(shell)
    shell.environment["CSMS_KEY"] = shell.admin_key
    for command in commands_of("Operate it: the API"):
        if command.startswith("export"):
            continue  # The key was shown by `csms serve`.
        command = command.replace("127.0.0.1:8080", f"127.0.0.1:{shell.http_port}")
        if "<session>" in command:
            command = command.replace("<session>", await shell.running_session())
        answer = json.loads(await shell.run(command.replace("curl", "curl -sS --fail-with-body", 1)))
        assert answer.get("accepted", True) is True
    await station


async def test_a_session_is_followed_as_the_readme_says(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    broker.start()
    try:
        shell.environment |= {"CSMS_MQTT_URL": broker.url, "MQTT_USER": USER, "MQTT_PASSWORD": PASSWORD}
        await shell.run("csms token add 04A2B3C4")
        password = re.search(r"Password:\s+(\S+)", await shell.run("csms station add CP-001"))[1]
        await shell.serve()
        shell.environment["CSMS_KEY"] = shell.admin_key
        url = f"ws://127.0.0.1:{shell.ocpp_port}/ocpp"
        station = asyncio.create_task(
            reference_session(url, "CP-001", "1.6", password=password, token="04A2B3C4", remote=True)
        )
        await until_it_reports(shell)
        said = []
        for command in commands_of("Follow a session"):
            command = command.replace("127.0.0.1:8080", f"127.0.0.1:{shell.http_port}").replace(
                "1883", str(broker.port)
            )
            if "<session>" in command:
                command = command.replace("<session>", await shell.running_session())
            said.append(await shell.run(command))
        await station
    finally:
        broker.kill()
    _, started, _, mqtt, tail, sse, trail = said
    assert json.loads(started)["accepted"] is True
    assert '"type":"session.opened"' in mqtt and '"station":"CP-001"' in mqtt
    assert "session.opened" in tail
    events = [json.loads(line.removeprefix("data: ")) for line in sse.splitlines()]
    assert events[0]["type"] == "session.opened"
    assert events[0]["event_id"] in mqtt, "one event, one id, wherever it is told"
    assert "RemoteStartTransaction" in trail and "04…C4" in trail and "04A2B3C4" not in trail


async def until_it_reports(shell: Shell) -> None:
    """Wait until the charger is connected and has told of its connectors."""
    async with asyncio.timeout(30):
        while True:
            station = json.loads(await shell.run("csms station show CP-001 --json"))
            if station["online"] and station["connectors"]:
                return
            await asyncio.sleep(0.05)
