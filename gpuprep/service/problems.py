"""Errors as answers: RFC 9457 problems, with gpuprep's codes and advice."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gpuprep.values.errors import CaseError, GpuprepError, InputError, RunStopped, StoreFault

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer other than success; ``detail`` says what disagrees, ``advice`` what to do."""

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
        super().__init__(detail)
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.code = code
        self.advice = advice
        self.headers = dict(headers or {})
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


def problem_response(problem: Problem) -> JSONResponse:
    """The answer that a problem is."""
    body = ProblemBody(
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        advice=problem.advice,
    )
    tree = {**body.model_dump(), **problem.more}
    return JSONResponse(tree, problem.status, problem.headers, MEDIA_TYPE)


def told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: the problems that it may answer with."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    return {
        status: {
            "model": ProblemBody,
            "content": {MEDIA_TYPE: schema},
            "description": HTTPStatus(status).phrase,
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make every error of an app a problem; what nobody expected says no more than that it happened."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(GpuprepError)
    async def _ours(request: Request, error: GpuprepError) -> JSONResponse:
        return problem_response(Problem.of(error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        detail = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
        return problem_response(Problem(error.status_code, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [
            {"where": ".".join(map(str, each["loc"])), "what": str(each["msg"])}
            for each in error.errors()
        ]
        detail = "; ".join(f"{each['where']}: {each['what']}" for each in wrong[:5])
        return problem_response(Problem(422, detail, code="E_REQUEST", errors=wrong[:50]))

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        return problem_response(
            Problem(500, "the service failed at this; its log says more", code="E_BUG")
        )
