"""Imports go down, at the top of the file, and settings stay with the processes."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.house.sources import ROOT, Source, sources

LOADED_LATE: Final = {
    "runs/writing/writers.py": {"_vendors"},
    "runs/writing/llama.py": {"_library"},
}
"""The two places of decision 0009, with the functions that import."""

READS_SETTINGS: Final = (
    *("app.py", "worker.py", "installation.py", "settings.py", "cli/"),
    *("processes.py", "serving.py", "working.py"),
)


def test_the_contracts_of_imports_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " 0 broken" in done.stdout


def _late(source: Source) -> set[str]:
    """The functions of a file that import something, by a statement or by name."""
    return {
        name.rpartition(".")[2]
        for name, function in source.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in {"importlib.import_module", "__import__"})
    }


def test_nothing_is_imported_late_but_in_the_two_places_of_the_decision() -> None:
    found = {source.name: late for source in sources() if (late := _late(source))}
    assert found == LOADED_LATE


def test_imports_are_absolute() -> None:
    relative = [
        source.name
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_settings_are_read_by_the_processes_alone() -> None:
    readers = {
        source.name
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "colonnade.settings"
    }
    assert {name for name in readers if not name.startswith(READS_SETTINGS)} == set()


def test_the_environment_is_read_by_the_settings_alone() -> None:
    found = {source.name for source in sources() if "os.environ" in source.text or "os.getenv" in source.text}
    assert {name for name in found if not name.startswith((*READS_SETTINGS, "ground/db/embedded/"))} == set()
