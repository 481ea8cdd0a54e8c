"""Signing in: passwords, second factors, and the sessions that make people callers."""
