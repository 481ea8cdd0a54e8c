"""Writes `docs/openapi.json` from the routes, or with `--check` says whether it is current."""

import json
import sys
from pathlib import Path
from typing import Final

from colonnade import app
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.web import House
from colonnade.ground.web.applications import assemble
from colonnade.tenancy import workspaces

PATH: Final = Path(__file__).parent.parent / "docs" / "openapi.json"


def text() -> str:
    """The document as it is checked in: indented, so that its diff can be read."""
    unused = Database(Address("127.0.0.1", 1, "none", {}), "none", Pepper({1: bytes(32)}, current=1))
    application = assemble(House(unused, workspaces.WorkspaceFinder(unused).find), app.routers())
    return json.dumps(app.document(application), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write it, unless it is only to be checked."""
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PATH.exists() and PATH.read_text() == text() else "docs/openapi.json is old; run: make docs")
    PATH.write_text(text())


if __name__ == "__main__":
    main()
