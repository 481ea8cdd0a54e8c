"""A background process of its own, for the tests that kill it: `python -m tests.runs.worker_process '{…}'`."""

import asyncio
import json
import sys
from pathlib import Path

from colonnade.ground.core.secrets import Secret
from colonnade.ground.db import embedded
from colonnade.ground.outgoing import AllowList
from colonnade.runs.writing import ModelOptions
from colonnade.worker import work
from tests.runs.run_fixtures import options


def main(told: str) -> None:
    """Work until told to stop, or killed."""
    wish = json.loads(told)
    server = embedded.locate(Path(wish["cluster"]))
    address = type(server)(server.host, server.port, wish["database"], server.passwords)
    models = ModelOptions("openai:model-1", openai_key=Secret(wish["key"]), openai_base_url=wish["provider"])
    allow = AllowList.parse(wish["allow"])
    asyncio.run(work(options(address, Path(wish["folder"]), models=models, allow=allow, lease_seconds=3)))


if __name__ == "__main__":
    main(sys.argv[1])
