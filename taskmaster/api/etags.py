"""ETags: the version of a stream, and what callers ask of it (RFC 9110, section 13.1).

Rules of residence: knows versions only, not whose they are.
"""

from starlette.requests import Request

from taskmaster.api.problems import stop
from taskmaster.events.types import Version


def etag(version: Version) -> str:
    """The tag of a version."""
    return f'"{version}"'


def is_known(request: Request, version: Version) -> bool:
    """Whether the caller of a read has this version already."""
    wanted = request.headers.get("if-none-match")
    return wanted is not None and _has(wanted, version)


def refuse_unless_matched(request: Request, what: str, version: Version | None) -> None:
    """If-Match and If-None-Match of a change, against the present version; None: there is none.

    Raises:
        ProblemError: they do not match.
    """
    wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
    if wanted is not None and (version is None or not _has(wanted, version)):
        there = f"there is no such {what}"
        if version is not None:
            there = f"the {what}'s ETag is {etag(version)}"
        raise stop(
            "precondition_failed",
            f"{there}, If-Match names {wanted[:60]!a}",
            remedy=f"read the {what} again",
        )
    if unwanted is not None and version is not None and _has(unwanted, version):
        raise stop(
            "precondition_failed",
            f"there is a {what} with the ETag {etag(version)}",
            remedy="leave out If-None-Match to change it",
        )


def _has(header: str, version: Version) -> bool:
    """A weak tag is as good, for a version says all."""
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return header.strip() == "*" or etag(version) in tags
