"""Where a PostgreSQL server answers, as a value that connections and pools are made from.

No connection is opened here.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Address:
    """Where a PostgreSQL server answers, and the passwords of the roles that may speak to it."""

    host: str
    port: int
    database: str
    passwords: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | str | None = None
    """How the line is protected: a context of one's own, one of libpq's modes, or none for the client's usual."""

    def arguments(self, role: str, *, database: str | None = None) -> dict[str, Any]:
        """What `asyncpg.connect` and `asyncpg.create_pool` need to speak as this role."""
        if role not in self.passwords:
            known = ", ".join(sorted(self.passwords))
            raise LookupError(f"No password is known for the database role '{role}' (known: {known}).")
        protection = {} if self.tls is None else {"ssl": self.tls}
        return {
            "host": self.host,
            "port": self.port,
            "user": role,
            "password": self.passwords[role],
            "database": database or self.database,
            **protection,
        }
