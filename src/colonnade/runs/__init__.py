"""Runs: invocations of skills, their approvals and bulk actions, carried out by durable functions."""
