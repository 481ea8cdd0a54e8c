"""The durable engine: named functions that survive the death of their process, on Absurd's SQL in PostgreSQL.

`gateway` speaks to the SQL, `context` is what a durable function holds in its hands, `worker` runs them.
It knows no tenants and no run table: those belong to the package around it.
"""
