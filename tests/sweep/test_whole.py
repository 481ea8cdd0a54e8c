"""A run that leaks fails, and says where without saying what."""

import os
import subprocess
import sys
from pathlib import Path

from tests.house.sources import ROOT
from tests.sweep.leaking import PLACES


def test_a_run_whose_tests_leak_fails_and_names_each_place_and_no_secret(tmp_path: Path) -> None:
    note = tmp_path / "leaked"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/sweep/leaking.py"],
        env={**os.environ, "LEAKED": str(note)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = ended.stdout + ended.stderr
    secrets = note.read_text().splitlines()

    assert ended.returncode == 1, told
    assert "6 passed, 1 error" in told
    lines = told.partition("Secrets stand in clear where none may:\n")[2].splitlines()
    assert {line.strip() for line in lines[: len(PLACES)]} == PLACES
    assert len(secrets) == 8
    assert [secret for secret in secrets if secret in told] == []
