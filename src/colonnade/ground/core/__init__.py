"""The vocabulary of the house, pure and without I/O: ids, time, amounts, scopes, callers, refusals, secrets."""
