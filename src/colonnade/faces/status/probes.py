"""Liveness, readiness and Prometheus metrics. Readiness asks what would fail a caller; liveness asks nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from colonnade.ground.web.visits import Visit

_CHECK_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One answer of readiness: fine or not, with a plain sentence."""

    ok: bool
    says: str


Probe = Callable[[], Awaitable[Check]]


class Metrics:
    """What one process counts of its requests."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "colonnade_requests_total",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "colonnade_request_seconds",
            "How long requests took, by route.",
            ["route"],
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
        )

        self._known: dict[tuple[str | None, str, int], tuple[Counter, Histogram]] = {}

    def count(self, visit: Visit) -> None:
        """Take note of one request; unknown paths count as one route, or callers could make up labels."""
        kind = (visit.route, visit.method if visit.route else "any", visit.status)
        found = self._known.get(kind)
        if found is None:
            route = visit.route or "none"
            found = self._requests.labels(route, *kind[1:]), self._seconds.labels(route)
            self._known[kind] = found
        found[0].inc()
        found[1].observe(visit.duration_ms / 1000)


def mount(app: Starlette, probes: Mapping[str, Probe], metrics: Metrics) -> None:
    """Add the three paths to an application."""

    async def alive(_request: Request) -> Response:
        return _json(200, {"status": "ok"})

    async def ready(_request: Request) -> Response:
        checks = dict(zip(probes, await asyncio.gather(*map(_bounded, probes.values())), strict=True))
        fine = all(check.ok for check in checks.values())
        body = {
            "status": "ok" if fine else "unavailable",
            "checks": {name: {"ok": check.ok, "says": check.says} for name, check in checks.items()},
        }
        return _json(200 if fine else 503, body)

    async def count(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    app.router.routes.extend([Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", count)])


async def _bounded(probe: Probe) -> Check:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await probe()
    except Exception as error:  # readiness must answer whatever is broken
        return Check(ok=False, says=f"failed: {type(error).__name__}")


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")
