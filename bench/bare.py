"""What is measured against: the same framework and server, the same bytes, and nothing else."""

import os
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

from bench.servers import serve_handed_on


def create(body: bytes) -> FastAPI:
    """An application that answers every workspace with these bytes."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/v1/workspaces/{workspace_id}")
    async def read_workspace(workspace_id: str) -> Response:  # noqa: ARG001 (read from the path, as the other does)
        return Response(body, media_type="application/json")

    return app


if __name__ == "__main__":
    serve_handed_on(create(Path(os.environ["BENCH_BODY"]).read_bytes()))
