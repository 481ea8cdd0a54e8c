"""The one door to PostgreSQL: where it answers, scoped transactions, shared calls, migrations."""
