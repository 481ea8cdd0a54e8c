"""Where this installation's database answers: the embedded one of the data folder, or the external one of a URL."""

from typing import Final

from colonnade.ground.db import embedded, external
from colonnade.ground.db.address import Address
from colonnade.settings import Settings, role_passwords_of

APP: Final = "colonnade_app"
WORKER: Final = "colonnade_worker"
LOOKUP: Final = external.LOOKUP
OWNER: Final = "colonnade_owner"


def address_of(settings: Settings) -> Address:
    """The address that pools are made from; for a pooler's own restrictions see `direct_address_of`."""
    if settings.database_url is None:
        return embedded.locate(settings.data)
    return _external(settings, settings.database_url.get_secret_value())[0]


def direct_address_of(settings: Settings) -> Address:
    """The address without a pooler in between: for migrations and for listening."""
    if settings.database_url is None or settings.database_direct_url is None:
        return address_of(settings)
    return _external(settings, settings.database_direct_url.get_secret_value())[0]


def owner_of(settings: Settings) -> str:
    """The role that migrates."""
    url = settings.database_direct_url or settings.database_url
    return OWNER if settings.database_url is None or url is None else _external(settings, url.get_secret_value())[1]


def role_passwords(settings: Settings) -> dict[str, str]:
    """The passwords of the roles of an external database: the same on every machine that has the same secret."""
    return {role: role_passwords_of(settings, role)[0] for role in (APP, WORKER)}


def former_role_passwords(settings: Settings) -> list[dict[str, str]]:
    """The passwords that they had under former secrets, the latest first."""
    former = [role_passwords_of(settings, role)[1:] for role in (APP, WORKER)]
    return [dict(zip((APP, WORKER), passwords, strict=True)) for passwords in zip(*former, strict=True)]


def _external(settings: Settings, url: str) -> tuple[Address, str]:
    return external.read_url(url, role_passwords(settings))
