"""The command `up`: from an empty folder to an address that answers, and what to type next."""

import asyncio
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from colonnade.cli.console import err, fail, out
from colonnade.cli.founding import Made, make_demo
from colonnade.cli.runtime import agencies_here, bring_up_to_date, database_running, explained, opened
from colonnade.cli.supervising import Child, Supervisor
from colonnade.cli.whereabouts import answering_at
from colonnade.ground.db import embedded
from colonnade.installation import address_of
from colonnade.processes import listen
from colonnade.settings import PREFIX, Settings, reached_at, secret_of


def up(settings: Settings, *, demo: bool) -> None:
    """Run everything in the foreground until Ctrl-C or SIGTERM; exit code 1 when something ended by itself."""
    with explained():
        if settings.database_url is None and embedded.is_locked(settings.data):
            raise embedded.AlreadyRunning(f"Colonnade already runs on {settings.data}; stop that one first.")
        listener = _listen(settings)
        err.print(f"[dim]Starting the database in {settings.data} …[/]")
        with database_running(settings) as cluster:
            secret_of(settings)
            made = asyncio.run(_prepare(settings, demo))
            ended_well = _run(settings, listener, made, cluster)
    sys.exit(0 if ended_well else 1)


def become(module: str, settings: Settings) -> NoReturn:
    """Turn this process into the one of that module: what it loads, no command should have to."""
    with explained():
        address_of(settings)
    os.execve(sys.executable, [sys.executable, "-m", f"colonnade.{module}"], _environment(settings))  # noqa: S606


def _listen(settings: Settings) -> socket.socket:
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        fail(
            f"Cannot serve on {settings.host}:{settings.port}: {error.strerror}. "
            "Choose another port, as in: colonnade up --port 8081"
        )


async def _prepare(settings: Settings, demo: bool) -> Made | None:
    applied = await bring_up_to_date(settings)
    if applied:
        err.print(f"[dim]Brought the database up to date: {len(applied)} migrations.[/]")
    if not demo or await agencies_here(settings):
        return None
    async with opened(settings) as database:
        return await make_demo(database)


def _run(settings: Settings, listener: socket.socket, made: Made | None, cluster: embedded.Cluster | None) -> bool:
    listener.set_inheritable(True)
    words = ["--fd", str(listener.fileno())]
    children = [Child("server", "colonnade.serving", words, listener) for _ in range(settings.servers)]
    children += [Child("worker", "colonnade.working") for _ in range(settings.workers)]
    port = int(listener.getsockname()[1])
    url = reached_at(settings.host, port)
    host = urlsplit(url).hostname or settings.host
    supervisor = Supervisor(children, {**_environment(settings), f"{PREFIX}PORT": str(port)})
    supervisor.begin()
    try:
        if not supervisor.wait_until_ready(host, port):
            return supervisor.stopping
        with answering_at(settings, url):
            _tell(settings, url, made)
            supervisor.watch(lambda: cluster is None or cluster.is_running())
        return supervisor.stopping
    finally:
        err.print("[dim]Stopping …[/]")
        supervisor.end()
        listener.close()


def _environment(settings: Settings) -> dict[str, str]:
    """Children read the same settings, with what this command line gave on top."""
    return {**os.environ, f"{PREFIX}DATA_DIR": str(settings.data), f"{PREFIX}HOST": settings.host}


def _tell(settings: Settings, url: str, made: Made | None) -> None:
    address = settings.public_url or url
    out.print(f"\n[bold]Colonnade runs at {address}[/]\n")
    if made is not None:
        out.print(f"The demo agency is {made.agency_id}. Its key, shown this once:\n")
        out.print(f"  export COLONNADE_KEY={made.key.reveal()}\n", style="bold")
    else:
        command = _command()
        out.print(f"Your agencies and their keys are as you left them. Another key: {command} key create")
        out.print(f"Another agency: {command} agency create --name NAME --owner-email ADDRESS\n")
    out.print("Three things to try next, in another terminal:\n")
    for line in _next_steps(address):
        out.print(f"  {line}\n")
    out.print("Ctrl-C stops all of it and keeps all of it.\n", style="dim")
    out.print(f"ready {address}")


def _command() -> str:
    """What to type for another command: the bare name where a shell would find it."""
    return "colonnade" if shutil.which("colonnade") else str(Path(sys.executable).with_name("colonnade"))


def _next_steps(url: str) -> list[str]:
    key = '-H "Authorization: Bearer $COLONNADE_KEY"'
    invoke = '{"action": "agent.invoke", "workspaces": "all", "config": {"skill": "draft_post", "input": {}}}'
    return [
        f'curl {key} "{url}/v1/workspaces?include=usage,health,lastActiveAt,settings"',
        f"curl -X POST {key} {url}/v1/workspaces/bulk-action -d '{invoke}'",
        f'curl {key} "{url}/v1/agent/approvals?scope=agency"',
    ]
