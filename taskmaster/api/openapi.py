"""The OpenAPI 3.1 document, made from the table of operations and msgspec's own schemas.

Rules of residence: nothing is written twice: paths, parameters and answers come from the table,
shapes and their descriptions from the structs, problems from their codes.
"""

import re
from typing import Any, cast

import msgspec

from taskmaster.api.operations import Operation, Parameter
from taskmaster.api.problems import CODES, MEDIA_TYPE, Problem
from taskmaster.api.reading import is_struct, parts

USUAL = ("invalid_field", "unauthenticated", "unavailable")
"""Codes that any operation may end with; what else there is comes under `default`."""
WITH_BODY = ("unreadable", "too_large", "unsupported_media_type")
PATH_PARAMETERS = {
    "number": "Which downtime of the gate.",
    "id": "The task's id.",
    "gate": "The gate's name.",
    "name": "The series' name.",
    "path": "A place in the supervision tree, such as gates/billing/gate.",
}
_IN_PATH = re.compile(r"\{(\w+)\}")
_TITLE = "TaskMaster"
_ABOUT = (
    "A central scheduler for requests to other systems. Every task passes a gate, which limits the"
    " throughput to its endpoint and lets it come back gently after an outage. Instants are RFC"
    " 3339 in UTC, durations a number of seconds or a text such as 15m. Unknown fields are refused."
    " Errors are application/problem+json and name the field and the remedy."
)


def document(operations: tuple[Operation, ...], software: str) -> dict[str, Any]:
    """The whole document."""
    shapes = _shapes(operations)
    _, components = msgspec.json.schema_components(
        shapes, ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": _TITLE,
            "version": software,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key made by `taskmaster key create`. Without any key a"
                    " server listens on this machine only and needs none.",
                }
            },
        },
        "security": [{}, {"key": []}],
    }


def _shapes(operations: tuple[Operation, ...]) -> list[Any]:
    shapes: list[Any] = [Problem]
    for operation in operations:
        bodies = [operation.body, *(reply.shape for reply in operation.replies)]
        shapes += [one for one in bodies if one is not None and one not in shapes]
    return shapes


def _schema(shape: Any) -> dict[str, Any]:
    """A reference for a struct, the schema itself for anything else."""
    [schema], _ = msgspec.json.schema_components(
        [shape], ref_template="#/components/schemas/{name}"
    )
    return schema


def _operation(operation: Operation) -> dict[str, Any]:
    names = cast("list[str]", _IN_PATH.findall(operation.path))
    shown: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.about,
        "tags": [operation.tag],
        "responses": _responses(operation),
    }
    found = [_in_path(name) for name in names]
    found += [_parameter(one) for one in operation.parameters]
    if found:
        shown["parameters"] = found
    if operation.body is not None:
        shown["requestBody"] = {
            "required": not operation.body_optional,
            "content": {
                media: {"schema": _schema(_line_shape(operation.body, media))}
                for media in operation.body_media
            },
        }
    if operation.is_open:
        shown["security"] = []
    return shown


def _line_shape(body: Any, media: str) -> Any:
    """A stream of lines is described by one line."""
    if "ndjson" not in media:
        return body
    return next(one for one in parts(body) if is_struct(one))


def _in_path(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": PATH_PARAMETERS[name],
        "schema": {"type": "string"},
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    one: dict[str, Any] = {"type": parameter.type}
    if parameter.type == "integer":
        one |= {"minimum": parameter.least, "maximum": parameter.most}
    schema: dict[str, Any] = {"type": "array", "items": one} if parameter.repeated else one
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.about,
        "schema": schema,
    }


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for reply in operation.replies:
        known = responses.setdefault(str(reply.status), {"description": reply.about})
        if reply.shape is not None:
            known.setdefault("content", {})[reply.media] = {"schema": _schema(reply.shape)}
    by_status: dict[int, list[str]] = {}
    body = () if operation.body is None else WITH_BODY
    for code in dict.fromkeys((*operation.codes, *body, *(() if operation.is_open else USUAL))):
        by_status.setdefault(CODES[code].status, []).append(CODES[code].title)
    for status, titles in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "; ".join(titles) + ".",
            "content": {MEDIA_TYPE: {"schema": _schema(Problem)}},
        }
    responses["default"] = {
        "description": "Any other problem.",
        "content": {MEDIA_TYPE: {"schema": _schema(Problem)}},
    }
    return responses
