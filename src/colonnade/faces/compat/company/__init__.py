"""The company surface: an agency's workspaces and their keys, in the words of tools that speak of a company."""

from colonnade.faces.compat.company.shapes import ERRORS, PREFIX

__all__ = ["ERRORS", "PREFIX"]
