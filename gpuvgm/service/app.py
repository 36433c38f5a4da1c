"""The service as an ASGI application: its routes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

import gpuvgm
from gpuvgm.service import json_bodies
from gpuvgm.service.bodies import Pace, RowsResponse, answer_type, body_type, read_body
from gpuvgm.service.guard import Guard
from gpuvgm.service.limits import Deadline, Gate, Limits
from gpuvgm.service.metrics import Metrics
from gpuvgm.service.models import Served
from gpuvgm.service.refusals import Refused, refusal_of
from gpuvgm.service.work import Answer, InverseOptions, TransformOptions, Work

TYPES = {404: "NotFound", 405: "MethodNotAllowed"}


def create_app(models: Mapping[str, Served], limits: Limits | None = None, token: str | None = None) -> Guard:
    """The application that serves some models.

    Parameters
    ----------
    models : mapping of str to Served
        The models by name; requests reach nothing else.
    limits : Limits, optional
        What a request may take.
    token : str, optional
        What clients have to show, but for health and readiness.
    """
    routes = Routes(models, Gate(limits or Limits()), Metrics())
    app = FastAPI(
        title="gpuvgm",
        version=gpuvgm.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # to what the client says that this host is called
    )
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _wrong_query)
    app.add_api_route("/health", routes.health, methods=["GET"])
    app.add_api_route("/ready", routes.ready, methods=["GET"])
    app.add_api_route("/metrics", routes.figures, methods=["GET"])
    app.add_api_route("/v1/models", routes.list_models, methods=["GET"])
    app.add_api_route("/v1/models/{name}", routes.show_model, methods=["GET"])
    app.add_api_route("/v1/models/{name}/transform", routes.transform, methods=["POST"])
    app.add_api_route("/v1/models/{name}/inverse", routes.inverse, methods=["POST"])
    return Guard(app, routes.gate, routes.metrics, token)


class Routes:
    """What each route does.

    Parameters
    ----------
    models : mapping of str to Served
        The models.
    gate : Gate
        Runs the work.
    metrics : Metrics
        Counts it.
    """

    def __init__(self, models: Mapping[str, Served], gate: Gate, metrics: Metrics) -> None:
        self.models, self.gate, self.metrics = models, gate, metrics

    async def health(self) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok", "version": gpuvgm.__version__})

    async def ready(self) -> Response:
        """Whether requests are welcome."""
        stopping = self.gate.stopping
        return JSONResponse({"status": "stopping" if stopping else "ready"}, 503 if stopping else 200)

    async def figures(self) -> Response:
        """What was counted."""
        return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def list_models(self) -> Response:
        """Names, rows and columns of all models."""
        listed = [
            {"name": name, "rows": served.document["rows"], "columns": list(served.document["columns"])}
            for name, served in self.models.items()
        ]
        return JSONResponse({"models": listed})

    async def show_model(self, name: str) -> Response:
        """What `gpuvgm info --json` says."""
        try:
            return JSONResponse(dict(self._model(name).document))
        except Refused as refused:
            return _error(refused)

    async def transform(self, name: str, request: Request, options: Annotated[TransformOptions, Query()]) -> Response:
        """Scalars and modes of rows."""
        return await self._rows("transform", name, request, options)

    async def inverse(self, name: str, request: Request, options: Annotated[InverseOptions, Query()]) -> Response:
        """Values of encoded rows."""
        return await self._rows("inverse", name, request, options)

    async def _rows(
        self, route: str, name: str, request: Request, options: TransformOptions | InverseOptions
    ) -> Response:
        limits = self.gate.limits
        deadline = Deadline.of(limits.timeout)
        try:
            served, given = self._model(name), body_type(request.headers)
            work = Work(served, options, given, answer_type(request.headers, given), limits, deadline)
            most = limits.json_bytes if given == json_bodies.MEDIA_TYPE else limits.max_bytes
            with self.gate.bodies.share() as share:
                answer = await self._answer(work, await read_body(request, most, share, Pace.of(limits, deadline)))
            return self._sent(route, name, answer)
        except ClientDisconnect:
            raise
        except Exception as problem:
            return _error(refusal_of(problem))

    def _sent(self, route: str, name: str, answer: Answer) -> Response:
        """An answer that has found room among those that clients have yet to take."""
        with ExitStack() as held:
            held.enter_context(self.gate.answers.share()).grow(len(answer.body))
            self.metrics.rows.labels(route, name).inc(answer.rows)
            return RowsResponse(answer, self.gate.limits.timeout, held.pop_all())

    async def _answer(self, work: Work, body: bytearray) -> Answer:
        """Do the work in the pool, and wait for it no longer than there is time."""
        future = self.gate.submit(work, body)
        waiting = asyncio.wrap_future(future)
        done, _ = await asyncio.wait([waiting], timeout=work.deadline.left)
        if not done:
            waiting.cancel()  # what has begun goes on
            raise work.deadline.passed()
        answer: Answer = waiting.result()
        return answer

    def _model(self, name: str) -> Served:
        if name not in self.models:
            raise Refused(404, "NotFound", f'no model "{name}"; GET /v1/models lists them')
        return self.models[name]


def _error(refused: Refused) -> Response:
    return Response(refused.body, refused.status, refused.headers, "application/json")


async def _http_error(_: Request, problem: Exception) -> Response:
    """What no route answers."""
    assert isinstance(problem, HTTPException)
    kind = TYPES.get(problem.status_code, "HTTPError")
    return _error(Refused(problem.status_code, kind, str(problem.detail), problem.headers))


async def _wrong_query(_: Request, problem: Exception) -> Response:
    """Options that are none, or have no such value."""
    assert isinstance(problem, RequestValidationError)
    found = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in problem.errors()]
    return _error(Refused(400, "InputError", f"wrong options in the query: {'; '.join(found)}"))
