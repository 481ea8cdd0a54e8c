"""A real server on a real database, and a browser before it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import async_playwright

from colonnade import app
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.installation import APP
from colonnade.settings import Settings, pepper_of
from tests.faces.looking import BROWSER, WORDS, Looking


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest_asyncio.fixture
async def base(address: Address, settings: Settings) -> AsyncIterator[str]:
    """A real server's address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app.create(settings, address), log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest_asyncio.fixture
async def behind(address: Address, settings: Settings) -> AsyncIterator[Database]:
    """The database with the secrets of that server."""
    database = Database(address, APP, pepper_of(settings), most_connections=2)
    await database.open()
    yield database
    await database.close()


@pytest_asyncio.fixture
async def looking(base: str) -> AsyncIterator[Looking]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=BROWSER, args=WORDS)
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        looking = Looking(page, base)
        looking.listen()
        yield looking
        await browser.close()
