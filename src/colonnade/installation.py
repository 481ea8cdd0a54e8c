"""Where this installation's database answers: the embedded one of the data folder, or the external one of a URL."""

import json
import secrets
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.settings import Settings, write_once

APP: Final = "colonnade_app"
WORKER: Final = "colonnade_worker"
LOOKUP: Final = "colonnade_lookup"
OWNER: Final = "colonnade_owner"


def address_of(settings: Settings) -> Address:
    """The address that pools are made from; for a pooler's own restrictions see `direct_address_of`."""
    if settings.database_url is None:
        return embedded.locate(settings.data)
    return _external(settings, settings.database_url.get_secret_value())


def direct_address_of(settings: Settings) -> Address:
    """The address without a pooler in between: for migrations and for listening."""
    if settings.database_url is None or settings.database_direct_url is None:
        return address_of(settings)
    return _external(settings, settings.database_direct_url.get_secret_value())


def owner_of(settings: Settings) -> str:
    """The role that migrates."""
    if settings.database_url is None:
        return OWNER
    return unquote(urlsplit(settings.database_url.get_secret_value()).username or "postgres")


def _external(settings: Settings, url: str) -> Address:
    parts = urlsplit(url)
    owner = unquote(parts.username or "postgres")
    passwords = {**_role_passwords(settings), owner: unquote(parts.password or "")}
    return Address(parts.hostname or "localhost", parts.port or 5432, parts.path.lstrip("/") or "postgres", passwords)


def _role_passwords(settings: Settings) -> dict[str, str]:
    """The passwords of the roles that serve and work, made once and kept beside the data."""
    path = settings.data / "database.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_once(path, json.dumps({role: secrets.token_urlsafe(32) for role in (APP, WORKER)}))
    kept: dict[str, Any] = json.loads(path.read_text())
    return {role: str(kept[role]) for role in (APP, WORKER)}
