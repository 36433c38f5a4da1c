"""The service as an ASGI application: its routes."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

import gpuvgm
from gpuvgm.service import arrow_bodies, json_bodies
from gpuvgm.service.bodies import answer_type, body_type, read_body, rows_response
from gpuvgm.service.guard import Guard
from gpuvgm.service.limits import Deadline, Gate, Limits
from gpuvgm.service.metrics import Metrics
from gpuvgm.service.models import Served
from gpuvgm.service.refusals import Refused, refusal_of
from gpuvgm.service.work import InverseOptions, SampleOptions, SampleWork, TransformOptions, Work

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
#: Options in the query, by route.
OPTIONS: dict[str, type[TransformOptions | InverseOptions | SampleOptions]] = {
    "transform": TransformOptions,
    "inverse": InverseOptions,
    "sample": SampleOptions,
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


router = APIRouter()


def create_app(models: Mapping[str, Served], limits: Limits | None = None, token: str | None = None) -> Guard:
    """Create the application that serves some models.

    Parameters
    ----------
    models : mapping of str to Served
        The models by name; requests reach nothing else.
    limits : Limits, optional
        Limits of a request.
    token : str, optional
        Token that clients must send, except for health and readiness.
    """
    app = FastAPI(
        title="gpuvgm",
        version=gpuvgm.__version__,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to what the client says that this host is called
        responses={"default": ERROR},
        exception_handlers={HTTPException: _http_error, RequestValidationError: _wrong_query},
    )
    gate, metrics = Gate(limits or Limits()), Metrics()
    app.state.models, app.state.gate, app.state.metrics = models, gate, metrics
    app.include_router(router)
    return Guard(app, gate, metrics, token)


@router.get("/")
async def overview(request: Request) -> Response:
    """Version and models of the service."""
    models = [*request.app.state.models]
    return JSONResponse({"service": "gpuvgm", "version": gpuvgm.__version__, "models": models, "description": "/docs"})


@router.get("/docs")
async def documentation(request: Request) -> Response:
    """The description of all routes, as a page."""
    document = request.app.openapi()
    rows = "".join(
        f"<tr><td><code>{method.upper()} {html.escape(path)}</code><td>{html.escape(_describe(operation))}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    page = _PAGE.format(version=html.escape(document["info"]["version"]), rows=rows)
    return Response(page, media_type="text/html")


@router.get("/health")
async def health() -> Response:
    """Report that the process answers."""
    return JSONResponse({"status": "ok", "version": gpuvgm.__version__})


@router.get("/ready")
async def ready(request: Request) -> Response:
    """Report whether the service accepts requests."""
    stopping = request.app.state.gate.stopping
    return JSONResponse({"status": "stopping" if stopping else "ready"}, 503 if stopping else 200)


@router.get("/metrics", name="figures")
async def metrics_text(request: Request) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(request.app.state.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


@router.get("/v1/models")
async def list_models(request: Request) -> Response:
    """Names, training rows and columns of all models."""
    documents = [
        {"name": name, "rows": served.document["rows"], "columns": list(served.document["columns"])}
        for name, served in request.app.state.models.items()
    ]
    return JSONResponse({"models": documents})


@router.get("/v1/models/{name}")
async def show_model(name: str, request: Request) -> Response:
    """Contents of a model, as from `gpuvgm info --json`."""
    return JSONResponse(dict(_model(name, request).document))


@router.post("/v1/models/{name}/transform", name="transform", openapi_extra=ROWS)
async def encode_rows(name: str, request: Request, options: Annotated[TransformOptions, Query()]) -> Response:
    """Encode rows as scalars and modes."""
    return await _answer_rows("transform", name, request, options)


@router.post("/v1/models/{name}/inverse", name="inverse", openapi_extra=ROWS)
async def decode_rows(name: str, request: Request, options: Annotated[InverseOptions, Query()]) -> Response:
    """Decode encoded rows into values."""
    return await _answer_rows("inverse", name, request, options)


@router.get("/v1/models/{name}/sample", name="sample", openapi_extra={"responses": ROWS["responses"]})
async def draw_rows(name: str, request: Request, options: Annotated[SampleOptions, Query()]) -> Response:
    """Draw rows of a model of `gpuvgm train`: the same for the same seed and first row."""
    gate: Gate = request.app.state.gate
    deadline = Deadline(gate.limits.timeout)
    try:
        media_type = answer_type(request.headers, json_bodies.MEDIA_TYPE)
        work = SampleWork(_model(name, request), options, media_type, gate.limits, deadline)
        rows, answer = await gate.run(work, deadline)
        request.app.state.metrics.rows.labels("sample", name).inc(rows)
        return rows_response(answer, media_type)
    except Exception as problem:
        return refusal_of(problem).response


async def _answer_rows(route: str, name: str, request: Request, options: TransformOptions | InverseOptions) -> Response:
    gate: Gate = request.app.state.gate
    limits = gate.limits
    deadline = Deadline(limits.timeout)
    try:
        served, media_type = _model(name, request), body_type(request.headers)
        work = Work(served, options, media_type, answer_type(request.headers, media_type), limits, deadline)
        limit = limits.json_bytes if media_type == json_bodies.MEDIA_TYPE else limits.max_bytes
        body = await read_body(request, limit, deadline)
        rows, answer = await gate.run(partial(work, body), deadline)
        request.app.state.metrics.rows.labels(route, name).inc(rows)
        return rows_response(answer, work.answer_type)
    except ClientDisconnect:
        raise
    except Exception as problem:
        return refusal_of(problem).response


def _model(name: str, request: Request) -> Served:
    models: Mapping[str, Served] = request.app.state.models
    if name not in models:
        raise Refused(404, "NotFound", f'no model "{name}"; GET /v1/models lists them')
    return models[name]


async def _http_error(_: Request, problem: Exception) -> Response:
    """Answer for an address that no route has, or a method that it refuses."""
    assert isinstance(problem, HTTPException)
    if isinstance(problem, Refused):
        return problem.response
    kind = TYPES.get(problem.status_code, "HTTPError")
    return Refused(problem.status_code, kind, str(problem.detail), problem.headers).response


async def _wrong_query(request: Request, problem: Exception) -> Response:
    """Answer for unknown options, or values that they do not have."""
    assert isinstance(problem, RequestValidationError)
    options = OPTIONS[request.url.path.rpartition("/")[2]]
    remedy = f"unknown option; choose from {', '.join(options.model_fields)}"
    faults = [
        f"{'.'.join(map(str, error['loc'][1:]))}: {remedy if error['type'] == 'extra_forbidden' else error['msg']}"
        for error in problem.errors()
    ]
    return Refused(400, "InputError", f"wrong options in the query: {'; '.join(faults)}").response


def _describe(operation: Mapping[str, Any]) -> str:
    """Description of an operation, with its options and their values."""
    schemas = {
        parameter["name"]: parameter["schema"]
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    options = [
        f"{name} ({', '.join(schema['enum'])})" if "enum" in schema else name for name, schema in schemas.items()
    ]
    summary = operation.get("description") or operation["summary"]
    return f"{summary} Options: {', '.join(options)}." if options else str(summary)
