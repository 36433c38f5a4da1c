"""Refused requests, and the errors that clients see: a status, a type and one line, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pyarrow as pa
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gpuvgm.errors import EnvironmentProblem, InputError, printable

MOST_LETTERS = 2000
_LOG = logging.getLogger("gpuvgm.service")


class Refused(HTTPException):
    """A request that gets no rows.

    Parameters
    ----------
    status : int
        HTTP status.
    kind : str
        For programs.
    message : str
        For people: what is wrong and what to do.
    headers : mapping of str to str, optional
        More headers of the answer, in lower case.
    """

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.kind = kind

    @property
    def response(self) -> JSONResponse:
        """The error as an answer."""
        error = {"type": self.kind, "message": one_line(self.detail)}
        return JSONResponse({"error": error}, self.status_code, self.headers)


def one_line(message: object) -> str:
    """A message that may hold what a client sent, as one line of bounded length."""
    text = str(message)
    text = text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"
    return printable(" ".join(text.split()))


def refusal_of(problem: BaseException) -> Refused:
    """The refusal for an error; details that clients did not cause go to the log alone."""
    if isinstance(problem, Refused):
        return problem
    if isinstance(problem, InputError):
        return Refused(400, "InputError", str(problem))
    if isinstance(problem, MemoryError):
        _LOG.error("out of memory: %s", one_line(problem))
        return Refused(503, "OutOfMemory", "out of memory; send fewer rows at a time", {"retry-after": "1"})
    if isinstance(problem, (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError)):
        _LOG.warning("Arrow refused a request: %s", one_line(problem))
        return Refused(400, "InputError", f"the rows cannot be read: {problem}")
    if isinstance(problem, EnvironmentProblem):
        _LOG.error("%s", one_line(problem))
        return Refused(503, "EnvironmentProblem", "the service cannot run this request on its machine; see its log")
    _LOG.error("internal error: %s", one_line(problem), exc_info=problem)
    return Refused(500, "InternalError", "internal error; see the log of the service")
