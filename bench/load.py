"""The load: `wrk` where it is installed, else a small client of our own; on a core of its own if there is one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SCRIPT: Final = Path(__file__).with_name("load.lua")
Tick = Callable[[str], None]
"""Told what was just measured."""

HOW_TO_INSTALL: Final = "apt-get install wrk, or brew install wrk"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one server did for some seconds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float = 0.0
    """What the server's process computed for each answer."""


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks: which paths, with which key, over how many connections, from which core."""

    paths: Path
    key: str
    core: int | None
    header: str = ""
    """The header that takes the key as it is; usually it is a bearer's."""

    def run(self, port: int, *, seconds: float, connections: int) -> Sample:
        """Keep all connections busy for some seconds; an answer other than 200 ends the measurement."""
        tool = shutil.which("wrk")
        words = (
            [*_wrk(tool, connections, seconds), f"http://127.0.0.1:{port}", "--"]
            if tool
            else [sys.executable, "-m", "bench.client", str(port), str(seconds), str(connections)]
        )
        told = json.loads(self._output([*words, str(self.paths)]).strip().splitlines()[-1])
        if told["refused"] or told["lost"] or not told["answers"]:
            raise RuntimeError(f"of {told['answers']} answers {told['refused']} were no 200, {told['lost']} never came")
        return Sample(told["answers"] / told["seconds"], told["p50_ms"], told["p99_ms"])

    def _output(self, words: list[str]) -> str:
        return subprocess.run(
            words,
            env={**os.environ, **self._header()},
            preexec_fn=lambda: pin(self.core),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout

    def _header(self) -> dict[str, str]:
        if self.header:
            return {"BENCH_HEADER": self.header, "BENCH_KEY": self.key}
        return {"BENCH_HEADER": "Authorization", "BENCH_KEY": f"Bearer {self.key}"}


def _wrk(tool: str, connections: int, seconds: float) -> list[str]:
    return [tool, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(_SCRIPT)]


def tool_name() -> str:
    """What makes the load here."""
    return "wrk" if shutil.which("wrk") else f"bench/client.py (for a faster one: {HOW_TO_INSTALL})"


def pin(core: int | None) -> None:
    """Stay on this core, where the system knows how to."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})
