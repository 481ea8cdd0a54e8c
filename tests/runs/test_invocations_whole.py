"""Whole runs of draft_post: from the invocation to the approval, and from the decision to the end."""

from pathlib import Path

from colonnade.ground.db.address import Address
from colonnade.runs.invocations import RunState
from tests.runs.run_fixtures import Bench, alone, bench, working

__all__ = ["alone", "bench"]


async def test_a_run_writes_waits_for_its_approval_and_publishes(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path):
        started = await bench.start()
        await bench.in_state(started.id, RunState.WAITING_APPROVAL)
        assert await bench.balances() == {
            "pool": 89_000,
            "issued": -100_000,
            f"held:{bench.workspace.id}": 11_000,
        }

        await bench.decide(started.id, approve=True)
        ended = await bench.in_state(started.id, RunState.SUCCEEDED, RunState.FAILED)

    assert ended.error is None
    assert ended.result is not None
    assert ended.result["status"] == "PUBLISHED"
    assert ended.result["publishedUrl"]
    assert ended.credits_used == 11_000
    assert await bench.steps(started.id) == ["context", "write", "save", "approval", "approve", "publish"]
    assert await bench.balances() == {"pool": 89_000, "issued": -100_000, f"used:{bench.workspace.id}": 11_000}
