"""Any sequence of commands keeps the books balanced, the caps kept, and usage, ledger, roll-up and tallies the same."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from colonnade.ground.db.address import Address
from tests.credits.machine import Credits, Loop, a_database


def test_any_sequence_of_commands_keeps_every_promise(address: Address) -> None:
    loop = Loop()
    database = a_database(address)
    loop.run(database.open())
    machine = type("CreditsHere", (Credits,), {"loop": loop, "address": address, "database": database})

    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=20,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        loop.run(database.close())
        loop.close()
