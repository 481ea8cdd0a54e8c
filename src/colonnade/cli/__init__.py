"""The command line: what an operator does on the machine itself. Verbs of the slices are called, never their SQL."""

from colonnade.cli.main import main

__all__ = ["main"]
