"""Logos of agencies, for everybody who knows their address: mails, reports and pages show them."""

from colonnade.faces.logos.pages import mount

__all__ = ["mount"]
