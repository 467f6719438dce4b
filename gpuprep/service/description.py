"""The API's description: what FastAPI makes of the routes, with what holds for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gpuprep.service.problems import MEDIA_TYPE, ProblemBody, described

_LINKED = {"JobView": {"job_id": "id", "name": "output"}, "CohortView": {"name": "name"}}
"""Which part of an answer a parameter of other operations is."""

Tree = dict[str, Any]


_CHUNKS = "/v1/{view}/{cohort}/{path}"


def describe(app: FastAPI) -> None:
    """Have ``/openapi.json`` tell every status, its media type, and where answers lead."""
    made: Tree = {}

    def openapi() -> Tree:
        if not made:
            made.update(_complete(_of_routes(app)))
        return made

    app.openapi = openapi  # type: ignore[method-assign]


def _of_routes(app: FastAPI) -> Tree:
    return get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )


def _complete(tree: Tree) -> Tree:
    schemas = tree.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ProblemBody"] = ProblemBody.model_json_schema()
    tree["paths"][_CHUNKS] = {verb: _chunks(verb) for verb in ("get", "head")}
    for verb, operation in _operations(tree):
        responses = operation["responses"]
        for status in _everywhere(verb, operation):
            if MEDIA_TYPE not in responses.get(str(status), {}).get("content", {}):
                responses[str(status)] = described(status)
        for response in responses.values():
            links = _links(tree, response)
            if links:
                response["links"] = links
    return tree


def _chunks(verb: str) -> Tree:
    """What FastAPI does not know: the plain routes of the files of cohorts."""
    kinds: Tree = {} if verb == "head" else {"application/octet-stream": {}, "application/json": {}}
    body: Tree = {"content": kinds} if kinds else {}

    def given(place: str, name: str, schema: Tree, told: str) -> Tree:
        required = {"required": True} if place == "path" else {}
        return {"in": place, "name": name, "schema": schema, "description": told, **required}

    text = {"type": "string"}
    return {
        "tags": ["chunks"],
        "operationId": f"chunk_{verb}",
        "summary": "A file of a cohort",
        "description": "A cohort's Zarr hierarchy, file by file, whole or a range of bytes. `zarr32` has"
        " float16 as float32, for tools without it.",
        "security": [{"HTTPBearer": []}],
        "parameters": [
            given("path", "view", {"enum": ["zarr", "zarr32"]}, "As stored, or widened."),
            given("path", "cohort", text, "The cohort's name."),
            given("path", "path", text, "A path within it, with slashes, such as zarr.json."),
            given("header", "Range", text, "One range, such as bytes=0-99 or bytes=-100."),
            given("header", "If-None-Match", text, "The ETag of what is known already."),
        ],
        "responses": {
            "200": {"description": "All of it, with an ETag", **body},
            "206": {"description": "The range", **body},
            "304": {"description": "It is as If-None-Match has it"},
            **{str(status): described(status) for status in (404, 412, 416, 500, 503)},
        },
    }


def _operations(tree: Tree) -> Iterator[tuple[str, Tree]]:
    for item in tree["paths"].values():
        yield from item.items()


def _everywhere(verb: str, operation: Tree) -> list[int]:
    """What an operation may answer with whatever it does itself."""
    found = [400, 421]
    if "security" in operation:
        found += [401]
    if verb not in ("get", "head"):
        found += [403]
    if "requestBody" in operation:
        found += [408, 413]
    if "requestBody" in operation or operation.get("parameters"):
        found += [422]
    return found


def _links(tree: Tree, response: Tree) -> Tree:
    """Operations that take a part of this answer as the part of their path."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    parts = _LINKED.get(schema.get("$ref", "").rpartition("/")[2], {})
    found: Tree = {}
    for _, operation in _operations(tree):
        for parameter in operation.get("parameters", ()):
            part = parts.get(parameter["name"]) if parameter["in"] == "path" else None
            if part:
                given = {parameter["name"]: f"$response.body#/{part}"}
                name = operation["operationId"]
                found[name] = {"operationId": name, "parameters": given}
    return found
