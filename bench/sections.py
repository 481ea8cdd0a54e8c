"""bench/results.md as sections: what was measured now replaces its own, what was not keeps its text."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

from bench.load import tool_name
from bench.reads import cores

HEAD: Final = """# Measurements

Figures hold for one machine; the ratios are what to look at. Written by `make bench`, part by part.
"""
TITLES: Final[Mapping[str, str]] = {
    "reads": "Reading one workspace",
    "steps": "Durable runs",
    "scale": "A grown installation",
    "keys": "Keys",
    "charges": "Charges on one hot pool",
    "events": "Events of usage",
    "reports": "Reports of usage",
    "peers": "Verifying keys beside Better Auth",
}
"""Every part that can be measured, and its heading."""

_PACKAGES: Final = ("fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "asyncpg")


def renewed(text: str, measured: Mapping[str, str]) -> str:
    """The page's text with the sections that were measured, by their parts."""
    known = dict(_sections(text)) | {TITLES[part]: body.strip() for part, body in measured.items()}
    told = [f"## {title}\n\n{known[title]}\n" for title in TITLES.values() if title in known]
    return "\n".join([HEAD, *told])


def _sections(text: str) -> Iterator[tuple[str, str]]:
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        yield title.strip(), body.strip()


def circumstances(command: str, postgresql: str, *, pinned: bool) -> str:
    """Where and when it was measured."""
    server, load = cores()
    apart = f"server alone on core {server}, load on core {load}, PostgreSQL on all but the server's"
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    machine = f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}"
    lines = [
        f"Command: `{command}`, {datetime.now(UTC):%Y-%m-%d}",
        f"Machine: {machine}; load average at the end {os.getloadavg()[0]:.1f}",
        f"PostgreSQL {postgresql}, embedded, as shipped (fsync on); Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    ]
    if pinned:
        lines.append(f"Load: {tool_name()}; {apart if server is not None else 'not pinned'}")
    return "\n".join(f"- {line}" for line in lines)


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(head) - 1), *lines[1:]])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def save(path: Path, measured: Mapping[str, str]) -> None:
    """Write the page anew."""
    path.write_text(renewed(path.read_text("utf-8") if path.exists() else "", measured), "utf-8")
