"""The service as an ASGI application: its routes."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

import gpuvgm
from gpuvgm.service import arrow_bodies, json_bodies
from gpuvgm.service.bodies import Pace, RowsResponse, answer_type, body_type, read_body
from gpuvgm.service.guard import Guard
from gpuvgm.service.limits import Deadline, Gate, Limits
from gpuvgm.service.metrics import Metrics
from gpuvgm.service.models import Served
from gpuvgm.service.refusals import Refused, refusal_of
from gpuvgm.service.work import Answer, InverseOptions, TransformOptions, Work

_STREAM = {"schema": {"type": "string", "format": "binary", "description": "An Arrow IPC stream"}}
_COLUMNS = {
    "schema": {
        "type": "object",
        "required": ["columns"],
        "properties": {"columns": {"type": "object", "additionalProperties": {"type": "array", "items": {}}}},
        "example": {"columns": {"amount": [12.5, 80, None]}},
    }
}
_CONTENT = {arrow_bodies.MEDIA_TYPE: _STREAM, json_bodies.MEDIA_TYPE: _COLUMNS}
#: What every refused request gets, as OpenAPI describes it.
_TEXT = {"type": "string"}
_ERROR = {"type": "object", "properties": {"type": _TEXT, "message": _TEXT}}
ERROR: dict[str, Any] = {
    "description": "An error",
    "content": {json_bodies.MEDIA_TYPE: {"schema": {"type": "object", "properties": {"error": _ERROR}}}},
}
#: Bodies of requests for rows and of their answers, as OpenAPI describes them.
ROWS: dict[str, Any] = {
    "requestBody": {"required": True, "content": _CONTENT},
    "responses": {"200": {"description": "The rows", "content": _CONTENT}},
}
TYPES = {404: "NotFound", 405: "MethodNotAllowed"}

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>gpuvgm</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 60em; margin: auto; padding: 1em }}
td {{ padding: 0.3em 1em 0.3em 0; vertical-align: top; overflow-wrap: anywhere }}
</style>
<h1>gpuvgm {version}</h1>
<p>Encodes rows of tables for generative models, and decodes them. For programs:
<a href="openapi.json">openapi.json</a>.
<table>{rows}</table></html>
"""


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
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to what the client says that this host is called
        responses={"default": ERROR},
    )
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _wrong_query)
    app.add_api_route("/", routes.overview, methods=["GET"])
    app.add_api_route("/docs", routes.documentation, methods=["GET"])
    app.add_api_route("/health", routes.health, methods=["GET"])
    app.add_api_route("/ready", routes.ready, methods=["GET"])
    app.add_api_route("/metrics", routes.figures, methods=["GET"])
    app.add_api_route("/v1/models", routes.list_models, methods=["GET"])
    app.add_api_route("/v1/models/{name}", routes.show_model, methods=["GET"])
    app.add_api_route("/v1/models/{name}/transform", routes.transform, methods=["POST"], openapi_extra=ROWS)
    app.add_api_route("/v1/models/{name}/inverse", routes.inverse, methods=["POST"], openapi_extra=ROWS)
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

    async def overview(self) -> Response:
        """Version and models of the service."""
        version = gpuvgm.__version__
        return JSONResponse({"service": "gpuvgm", "version": version, "models": [*self.models], "description": "/docs"})

    async def documentation(self, request: Request) -> Response:
        """The description of all routes, as a page."""
        document = request.app.openapi()
        rows = "".join(
            f"<tr><td><code>{method.upper()} {html.escape(path)}</code><td>{html.escape(_told(operation))}"
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        )
        page = _PAGE.format(version=html.escape(document["info"]["version"]), rows=rows)
        return Response(page, media_type="text/html")

    async def health(self) -> Response:
        """Whether the process answers."""
        return JSONResponse({"status": "ok", "version": gpuvgm.__version__})

    async def ready(self) -> Response:
        """Whether the service accepts requests."""
        stopping = self.gate.stopping
        return JSONResponse({"status": "stopping" if stopping else "ready"}, 503 if stopping else 200)

    async def figures(self) -> Response:
        """Metrics in Prometheus' text format."""
        return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def list_models(self) -> Response:
        """Names, training rows and columns of all models."""
        listed = [
            {"name": name, "rows": served.document["rows"], "columns": list(served.document["columns"])}
            for name, served in self.models.items()
        ]
        return JSONResponse({"models": listed})

    async def show_model(self, name: str) -> Response:
        """Contents of a model, as from `gpuvgm info --json`."""
        try:
            return JSONResponse(dict(self._model(name).document))
        except Refused as refused:
            return _error(refused)

    async def transform(self, name: str, request: Request, options: Annotated[TransformOptions, Query()]) -> Response:
        """Encode rows as scalars and modes."""
        return await self._rows("transform", name, request, options)

    async def inverse(self, name: str, request: Request, options: Annotated[InverseOptions, Query()]) -> Response:
        """Decode encoded rows into values."""
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


async def _wrong_query(request: Request, problem: Exception) -> Response:
    """Options that are none, or have no such value."""
    assert isinstance(problem, RequestValidationError)
    options = TransformOptions if request.url.path.endswith("/transform") else InverseOptions
    known = f"unknown option; choose from {', '.join(options.model_fields)}"
    found = [
        f"{'.'.join(map(str, one['loc'][1:]))}: {known if one['type'] == 'extra_forbidden' else one['msg']}"
        for one in problem.errors()
    ]
    return _error(Refused(400, "InputError", f"wrong options in the query: {'; '.join(found)}"))


def _told(operation: Mapping[str, Any]) -> str:
    """What an operation does, and its options with their values."""
    given = {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] == "query"}
    options = [f"{name} ({', '.join(schema['enum'])})" if "enum" in schema else name for name, schema in given.items()]
    told = operation.get("description") or operation["summary"]
    return f"{told} Options: {', '.join(options)}." if options else str(told)
