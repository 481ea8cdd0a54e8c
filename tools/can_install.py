"""Says in one sentence what this machine lacks, before anything is installed. Runs on any Python 3."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (older ones run this file, too)
    sys.exit(
        "Colonnade needs Python 3.11 or newer; this is {}.{}. Install it (on Debian or Ubuntu: apt-get install "
        "python3) or name another one: make PYTHON=python3.12 up".format(*sys.version_info[:2])
    )
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit("Python's venv is missing on this machine. As root: apt-get install python3-venv - then try again.")
