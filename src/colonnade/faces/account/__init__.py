"""Pages for people: signing in, accepting an invitation, choosing a password, and one's own account."""

from colonnade.faces.account.pages import mount

__all__ = ["mount"]
