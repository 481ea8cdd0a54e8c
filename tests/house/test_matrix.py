"""Every operation, with every kind of credential, on what belongs to another agency and to a neighbouring workspace.

What is tried is made from the document; the command `verify-isolation` tries the same on an installation that runs.
"""

from typing import Any

import pytest

from colonnade import isolation
from tests.house.installed import photograph
from tests.house.operations import Described
from tests.house.trying import OPERATIONS, Trial, trial
from tests.house.world import installed, ours, theirs

__all__ = ["installed", "ours", "theirs", "trial"]


def named(operation: Described) -> str:
    return operation.name


def test_every_id_in_a_path_says_what_it_is_an_id_of() -> None:
    unknown = [one.name for one in OPERATIONS for name in one.ids if isolation.prefix_of(name) is None]
    assert unknown == []


def test_the_victim_has_something_for_every_id_in_a_path(trial: Trial) -> None:
    assert isolation.untried(OPERATIONS, trial.outsiders[0], trial.victim) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_what_is_out_of_reach_looks_as_if_it_had_never_been_and_stays_as_it_is(
    operation: Described, trial: Trial, owner: Any
) -> None:
    before = await photograph(owner, trial.victims_agency)
    for outsider in trial.outsiders:
        failures = await trial.judge(outsider, isolation.attempts([operation], outsider, trial.victim))
        assert failures == []
    assert await photograph(owner, trial.victims_agency) == before


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.is_write and not one.ids], ids=lambda one: str(one.name)
)
async def test_a_write_that_names_nothing_stays_in_its_own_agency(
    operation: Described, trial: Trial, owner: Any
) -> None:
    before = await photograph(owner, trial.victims_agency)
    for outsider in trial.outsiders:
        if not outsider.is_neighbour and outsider.credential.kind != "member":
            failures = await trial.judge(outsider, isolation.writes([operation], outsider, trial.victim))
            assert failures == []
    assert await photograph(owner, trial.victims_agency) == before
