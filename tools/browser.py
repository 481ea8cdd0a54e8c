"""Finds the browser for the browser tests: Debian's Chromium, installed when this is root, loudly missed otherwise."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def installed() -> bool:
    """Whether a browser is on the path."""
    return any(shutil.which(name) for name in NAMES)


def install() -> None:
    """Install Debian's package, quietly; needs root and apt-get."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)  # type: ignore[call-overload]
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    subprocess.run(command, check=False, **quiet)  # type: ignore[call-overload]


def main() -> int:
    """0 when there is a browser, or when tests may be skipped; 1 in CI, where nothing is skipped."""
    if installed():
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium for the browser tests ...", flush=True)
        install()
    if installed():
        return 0
    print("NO BROWSER: the browser tests are skipped. As root: apt-get install chromium", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
