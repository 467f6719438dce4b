"""Errors as answers: RFC 9457 problems, with gpuprep's codes and advice."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gpuprep.service.door.verbs import methods_at
from gpuprep.values.errors import CaseError, GpuprepError, InputError, RunStopped, StoreFault

MEDIA_TYPE = "application/problem+json"
_LONGEST = 20_000  # characters of a text
_CODES = {
    404: "E_NOT_FOUND",
    405: "E_METHOD",
    412: "E_CONDITION",
    416: "E_RANGE",
    500: "E_STORED",
    503: "E_STORE",
}
"""Of errors that have none of their own."""


class Problem(HTTPException):
    """An answer other than success; ``detail`` says what disagrees, ``advice`` what to do.

    FastAPI makes a 400 of anything but its own kind that is raised while a body is read; so it is one.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        title: str = "",
        code: str = "",
        advice: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.code = code
        self.advice = advice
        self.more = more

    @classmethod
    def of(cls, error: GpuprepError) -> Problem:
        """What an error of the engine is to a client: its own mistake, or the service's trouble."""
        status = 503 if isinstance(error, RunStopped | StoreFault) else 422
        code = getattr(error, "code", "") or f"E_{error.kind.upper()}"
        if isinstance(error, InputError) or not isinstance(error, CaseError):
            return cls(status, str(error), code=code, advice=error.advice)
        return cls(
            status,
            str(error),
            title="The volume cannot be prepared",
            code=code,
            advice=error.advice,
        )


class ProblemBody(BaseModel):
    """A problem as it travels (RFC 9457), with a stable code for machines and advice for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str = ""
    advice: str = ""


def problem_response(problem: Problem, hidden: Callable[[str], str] = str) -> JSONResponse:
    """The answer that a problem is; ``hidden`` takes out of its texts what no client is to know."""
    body = ProblemBody(
        title=problem.title,
        status=problem.status,
        detail=_plain(hidden(problem.detail)),
        code=problem.code,
        advice=_plain(hidden(problem.advice)),
    )
    tree = {**body.model_dump(), **problem.more}
    return JSONResponse(tree, problem.status, problem.headers, MEDIA_TYPE)


def _plain(text: str) -> str:
    """A text that can be encoded, whatever a client had it hold, and is not endless."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()


def _place(location: Sequence[object]) -> str:
    """Where in a request something is wrong, without what pydantic says of its own models."""
    return ".".join(str(part) for part in location if not re.search(r"^constrained-|\[", str(part)))


def told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: the problems that it may answer with."""
    return {status: described(status) for status in statuses}


def described(status: int) -> dict[str, Any]:
    """A problem as the API's description has it."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    return {"content": {MEDIA_TYPE: schema}, "description": HTTPStatus(status).phrase}


def install(app: FastAPI, hidden: Callable[[str], str] = str) -> None:
    """Make every error of an app a problem; what nobody expected says no more than that it happened.

    Such a one goes on to the server, which writes it to the service's stderr with its traceback.
    """

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> JSONResponse:
        return problem_response(error, hidden)

    @app.exception_handler(GpuprepError)
    async def _ours(request: Request, error: GpuprepError) -> JSONResponse:
        return problem_response(Problem.of(error), hidden)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        detail = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(methods_at(app, request.scope["path"]))
        code = _CODES.get(error.status_code, "E_REQUEST")
        return problem_response(Problem(error.status_code, detail, code=code, headers=headers))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [
            {"where": _plain(_place(each["loc"]))[:300], "what": _plain(str(each["msg"]))[:300]}
            for each in error.errors()[:50]
        ]
        detail = "; ".join(f"{each['where']}: {each['what']}" for each in wrong[:5])
        status = 400 if any(each["type"] == "json_invalid" for each in error.errors()) else 422
        return problem_response(Problem(status, detail, code="E_REQUEST", errors=wrong))

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        return problem_response(
            Problem(500, "the service failed at this; its log says more", code="E_BUG")
        )
