"""Bodies and parameters as they come in: bounded while they are read, decoded strictly.

Rules of residence: bytes to typed values, or a problem that names the field and the remedy. What
a value means is not known here.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request

from taskmaster.api.problems import Problem, ProblemError, escape, problem, stop

MIB = 1024 * 1024
MAX_REQUEST_BYTES = 2 * MIB
MAX_BATCH_BYTES = 32 * MIB
MAX_BATCH_TASKS = 10_000
MAX_SHOWN_CHARS = 60

T = TypeVar("T")


async def read_body(request: Request, limit: int = MAX_REQUEST_BYTES) -> bytes:
    """The whole body, refused as soon as it is known to be longer than `limit`."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> ProblemError:
    return stop(
        "too_large",
        f"the request's body is larger than {limit} bytes",
        remedy="split it",
        headers={"Connection": "close"},
    )


def media_type(request: Request, *others: str) -> str:
    """The content type of a body: JSON, which is also meant where none is given, or one of
    `others`."""
    given = request.headers.get("content-type", "")
    media = given.partition(";")[0].strip().lower() or "application/json"
    if media == "application/json" or media in others:
        return media
    taken = " or ".join(("application/json", *others))
    shown = ascii(given[:MAX_SHOWN_CHARS])
    raise stop(
        "unsupported_media_type", f"the content type {shown} is not read", remedy=f"send {taken}"
    )


class BodyReader(Generic[T]):
    """Reads one type of body, and explains what does not fit."""

    def __init__(self, shape: type[T]) -> None:
        """Compile the decoder."""
        self.shape = shape
        self._decoder = msgspec.json.Decoder(shape)

    async def read(self, request: Request, *, optional: bool = False) -> T:
        """A request's body.

        With `optional` an empty one is read as an object without fields.

        Raises:
            ProblemError: it is too large, of another type, no JSON, or does not fit.
        """
        media_type(request)
        content = await read_body(request)
        found = self.decode(b"{}" if optional and not content.strip() else content)
        if isinstance(found, Problem):
            raise ProblemError(found)
        return found

    def decode(self, content: bytes | msgspec.Raw) -> T | Problem:
        """A value, or why not."""
        try:
            return self._decoder.decode(content)
        except msgspec.ValidationError as error:
            return _misfit(self.shape, str(error))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return unreadable(error)

    def convert(self, plain: dict[str, object]) -> T | Problem:
        """A value from what is no JSON any more, or why not."""
        try:
            return msgspec.convert(plain, self.shape)
        except msgspec.ValidationError as error:
            return _misfit(self.shape, str(error))


def unreadable(error: Exception) -> Problem:
    """What the JSON parser stumbled over, in its words."""
    if isinstance(error, RecursionError):
        what = "it is nested too deeply"
    elif isinstance(error, UnicodeDecodeError):
        what = "a text is not UTF-8"
    else:
        what = str(error)
    return problem("unreadable", f"the body is no JSON: {what}", remedy="send one JSON value")


# --- what does not fit ------------------------------------------------------------------------

_MISFIT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_EXPECTED = re.compile(r"Expected `(.*)`, got `(.*)`")
_ENUM = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[([^\]]*)\]")


def _misfit(shape: object, error: str) -> Problem:
    """The decoder's complaint with a pointer, the value's field and a remedy."""
    found = _MISFIT.fullmatch(error)
    assert found is not None
    what, path = found["what"], found["path"] or "$"
    steps = [name or index for name, index in _STEP.findall(path)]
    inner, described = _walk(shape, steps)
    if unknown := _UNKNOWN.fullmatch(what):
        steps.append(unknown[1])
        message = f"there is no field {_dotted(steps)[:MAX_SHOWN_CHARS]!a}"
        return _field_problem(steps, message, _nearest(unknown[1], inner))
    if missing := _MISSING.fullmatch(what):
        steps.append(missing[1])
        _, described = _walk(shape, steps)
        return _field_problem(steps, f"{_dotted(steps)} is missing", _give(described))
    name = _dotted(steps)
    if expected := _EXPECTED.fullmatch(what):
        message = f"{name} must be {_plain(expected[1])} (it is {_plain(expected[2])})"
    elif enum := _ENUM.fullmatch(what):
        message = f"{name} cannot be {enum[1][:MAX_SHOWN_CHARS]}"
    else:
        message = f"{name} cannot be read: {what[:200]}"
    return _field_problem(steps, message, _give(described))


def _dotted(steps: list[str]) -> str:
    """`limits.rates[0].rate`; what is in an object of free names is "a value of" it."""
    text = "".join(f"[{s}]" if s.isdecimal() else f".{s}" for s in steps if s != "...")
    text = text.removeprefix(".") or "the body"
    return f"a value of {text}" if steps and steps[-1] == "..." else text


def _field_problem(steps: list[str], message: str, remedy: str) -> Problem:
    pointer = "".join("/" + escape(step) for step in steps if step != "...")
    return problem("invalid_field", message, pointer=pointer, remedy=remedy)


def _nearest(name: str, shape: object) -> str:
    known = list(get_type_hints(shape)) if is_struct(shape) else []
    near = get_close_matches(name[:100].lower(), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}"
    return f"the fields are {', '.join(known)}" if known else "leave it out"


def _give(described: str) -> str:
    return f"give {described}" if described else "see /docs for what it takes"


_PLAIN = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def _plain(types: str) -> str:
    words = [_PLAIN.get(name, name) for name in types.split(" | ")]
    if "a number" in words and "a whole number" in words:
        words.remove("a whole number")
    return " or ".join(words)


def _walk(shape: object, steps: list[str]) -> tuple[object, str]:
    """The struct in which a path ends, or what it leads through last, and the description of
    its last field."""
    described = ""
    for step in steps:
        inner = next((one for one in parts(shape) if is_struct(one)), None)
        if inner is None:
            continue
        hints = get_type_hints(inner, include_extras=True)
        if step not in hints:
            continue
        shape = hints[step]
        described = next(
            (m.description for m in _metas(shape) if m.description is not None), described
        )
    inner = next((one for one in parts(shape) if is_struct(one)), shape)
    return inner, described


def parts(shape: object) -> Iterator[object]:
    """A type and all that it is made of."""
    yield shape
    if get_origin(shape) in (Annotated, Union, UnionType, tuple, list, dict):
        for one in get_args(shape):
            if not isinstance(one, Meta):
                yield from parts(one)


def _metas(shape: object) -> list[Meta]:
    return [one for one in get_args(shape) if isinstance(one, Meta)]


def is_struct(shape: object) -> bool:
    """Whether a type is a struct."""
    return isinstance(shape, type) and issubclass(shape, Struct)


# --- parameters of the query ------------------------------------------------------------------


def parameters(request: Request, *known: str) -> dict[str, list[str]]:
    """The query's parameters; one that is unknown, or given twice though not in `known` as
    `name*`, is a problem."""
    names = {name.removesuffix("*") for name in known}
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            near = get_close_matches(name[:100], sorted(names), n=1)
            remedy = f"did you mean {near[0]}" if near else f"there are {', '.join(sorted(names))}"
            message = f"there is no parameter {name[:MAX_SHOWN_CHARS]!a}"
            raise stop("invalid_field", message, pointer="/" + escape(name[:100]), remedy=remedy)
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if len(values) > 1 and f"{name}*" not in known:
            raise bad_parameter(name, "is given twice", "give it once")
    return given


def bad_parameter(name: str, what: str, remedy: str) -> ProblemError:
    """A parameter that cannot be accepted."""
    return stop("invalid_field", f"{name} {what}", pointer=f"/{name}", remedy=remedy)


def whole_number(
    given: dict[str, list[str]], name: str, default: int, *, least: int, most: int
) -> int:
    """A parameter that is a whole number within bounds."""
    if name not in given:
        return default
    text = given[name][0]
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise bad_parameter(name, "is no whole number", f"give {least} to {most}")
    number = int(text)
    if not least <= number <= most:
        raise bad_parameter(name, f"must be {least} to {most} (it is {number})", "change it")
    return number
