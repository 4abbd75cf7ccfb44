"""The node itself: alive, ready, version, metrics, and the documents about the API.

Rules of residence: routes and their table; what metrics mean is `views/metrics.py`'s.
"""

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import HealthOut, VersionOut
from taskmaster.api.context import Api, JsonResponse, within
from taskmaster.api.docs_page import POLICY, STYLE, problems_page
from taskmaster.api.operations import Operation, Reply

READY_WITHIN_S = 2.0


async def healthz(api: Api, request: Request) -> Response:
    """200 while the loop turns."""
    del api, request
    return JsonResponse(HealthOut("ok"))


async def readyz(api: Api, request: Request) -> Response:
    """200 while tasks are taken: the store answers, takes commits, and the node does not stop."""
    del request
    why = ""
    if api.node.ports.is_stopping:
        why = "the server is stopping"
    elif api.node.store.is_away:
        why = f"the store takes no commit: {api.node.store.error}"
    else:
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await api.reader.position()
        except TimeoutError:
            why = "the store does not answer"
    if why:
        return JsonResponse(HealthOut("unavailable", why), 503, {"Retry-After": "1"})
    return JsonResponse(HealthOut("ok"))


async def version(api: Api, request: Request) -> Response:
    """Which software serves, on which store, as which node."""
    del request
    return JsonResponse(VersionOut(api.software, api.store, api.node.settings.node))


async def metrics(api: Api, request: Request) -> Response:
    """What Prometheus scrapes."""
    del request
    text = await within(api.metrics.text())
    return Response(text, media_type=CONTENT_TYPE_LATEST)


# --- documents --------------------------------------------------------------------------------


async def openapi(api: Api, request: Request) -> Response:
    """The OpenAPI document."""
    del request
    return Response(api.documents.openapi, media_type="application/json")


async def docs(api: Api, request: Request) -> Response:
    """The same for people."""
    del request
    return _html(api.documents.page)


async def problems(api: Api, request: Request) -> Response:
    """What each code of a problem means."""
    del api, request
    return _html(problems_page())


async def style(api: Api, request: Request) -> Response:
    """The pages' style."""
    del api, request
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def _html(page: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return Response(page, media_type="text/html", headers=headers)


OPERATIONS = (
    Operation(
        method="GET",
        path="/healthz",
        answer=healthz,
        name="healthz",
        about="200 while the process is alive.",
        tag="node",
        replies=(Reply(200, HealthOut, "It is."),),
        is_open=True,
    ),
    Operation(
        method="GET",
        path="/readyz",
        answer=readyz,
        name="readyz",
        about="200 while tasks are taken.",
        tag="node",
        replies=(Reply(200, HealthOut, "They are."), Reply(503, HealthOut, "They are not.")),
        is_open=True,
    ),
    Operation(
        method="GET",
        path="/version",
        answer=version,
        name="version",
        about="Which software serves, on which store, as which node.",
        tag="node",
        replies=(Reply(200, VersionOut, "The version."),),
    ),
    Operation(
        method="GET",
        path="/metrics",
        answer=metrics,
        name="metrics",
        about="Metrics for Prometheus, reckoned anew at most every five seconds.",
        tag="node",
        replies=(Reply(200, str, "Metrics.", "text/plain"),),
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        answer=openapi,
        name="openapi",
        about="This API as an OpenAPI 3.1 document.",
        tag="docs",
        replies=(Reply(200, dict, "The document."),),
    ),
    Operation(
        method="GET",
        path="/docs",
        answer=docs,
        name="docs",
        about="This API as a page.",
        tag="docs",
        replies=(Reply(200, str, "The page.", "text/html"),),
    ),
    Operation(
        method="GET",
        path="/docs/problems",
        answer=problems,
        name="problems",
        about="What each code of a problem means.",
        tag="docs",
        replies=(Reply(200, str, "The page.", "text/html"),),
    ),
    Operation(
        method="GET",
        path="/docs/style.css",
        answer=style,
        name="docs_style",
        about="The pages' style.",
        tag="docs",
        replies=(Reply(200, str, "The style.", "text/css"),),
    ),
)
