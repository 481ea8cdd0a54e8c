"""The process that carries out runs: `python -m colonnade.working`, started by `up` and by `colonnade work`."""

import argparse
import asyncio

from colonnade import worker
from colonnade.installation import direct_address_of
from colonnade.processes import belong_to, set_up_logs
from colonnade.settings import Settings, masters_of, pepper_of


def work(settings: Settings) -> None:
    """Carry out runs until SIGTERM; what is under way is finished or handed back."""
    set_up_logs(settings)
    # A worker listens and holds advisory locks, so it goes around a pooler.
    address = direct_address_of(settings)
    options = worker.options_from(settings, address, pepper_of(settings), masters_of(settings))
    asyncio.run(worker.work(options))


def main() -> None:
    """Work until told to stop, or until the parent is gone."""
    words = argparse.ArgumentParser(prog="colonnade work")
    words.add_argument("--parent", type=int)
    belong_to(words.parse_args().parent)
    work(Settings())


if __name__ == "__main__":
    main()
