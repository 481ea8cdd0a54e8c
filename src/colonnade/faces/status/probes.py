"""Liveness, readiness and Prometheus metrics. Readiness asks what would fail a caller; liveness asks nothing."""

import asyncio
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.utils import floatToGoString
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
    """What one process counts of its requests, kept as bare numbers and told to the registry when somebody asks."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._durations: dict[str, _Durations] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def count(self, visit: Visit) -> None:
        """Take note of one request; unknown paths count as one route, or callers could make up labels."""
        route, method = (visit.route, visit.method) if visit.route else ("none", "any")
        self._requests[route, method, visit.status] += 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = _Durations()
        durations.add(visit.duration_ms / 1000)

    def collect(self) -> Iterator[Metric]:
        """Both families as they are now."""
        requests = CounterMetricFamily(
            "colonnade_requests", "Requests by route, method and status.", labels=["route", "method", "status"]
        )
        for (route, method, status), often in self._requests.items():
            requests.add_metric([route, method, str(status)], often)
        seconds = HistogramMetricFamily(
            "colonnade_request_seconds", "How long requests took, by route.", labels=["route"]
        )
        for route, durations in self._durations.items():
            seconds.add_metric([route], durations.buckets(), durations.sum)
        yield requests
        yield seconds


_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class _Durations:
    """How many requests took at most how many seconds."""

    def __init__(self) -> None:
        self.sum = 0.0
        self._counts = [0] * (len(_BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """Count one."""
        self.sum += seconds
        self._counts[bisect_left(_BOUNDS, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Each bound with how many took no longer, as Prometheus wants them: the last one is all."""
        names = [*map(floatToGoString, _BOUNDS), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))


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
