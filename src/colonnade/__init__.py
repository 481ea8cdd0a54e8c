"""Colonnade: every client brand of an agency under one roof."""
