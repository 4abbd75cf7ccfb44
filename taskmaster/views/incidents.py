"""What befell the supervision tree, from the log: of a running server or of a dead one.

Rules of residence: reads the nodes' streams, oldest first, and puts nothing together that the log
does not say.
"""

from collections.abc import Iterator

from msgspec import Struct

from taskmaster.events.log import Reader, Recorded
from taskmaster.events.types import (
    ActorCrashed,
    ActorRestartAsked,
    ActorRestarted,
    Cause,
    GateQuarantined,
    GateReleased,
    NodeStarted,
    NodeStopped,
    Position,
    SupervisorGaveUp,
    Wall,
)

PAGE = 1_000


class Incident(Struct, frozen=True):
    """One event of the tree; `path` is a place, or the stream of a node."""

    position: Position
    at: Wall
    type: str
    path: str
    cause: Cause
    incarnation: int | None = None
    message: str = ""
    error: str = ""


class Summary(Struct, frozen=True):
    """One place: how often it crashed and was restarted, between when, and on what last."""

    path: str
    crashes: int = 0
    restarts: int = 0
    gave_up: int = 0
    quarantined: bool = False
    first_at: Wall | None = None
    last_at: Wall | None = None
    last_message: str = ""
    last_error: str = ""


class Run(Struct, frozen=True):
    """One life of a node; `stopped_at` is None where it did not stop in good order."""

    node: str
    pid: int
    started_at: Wall
    stopped_at: Wall | None = None


async def incidents(reader: Reader, path: str, last: int) -> tuple[Incident, ...]:
    """The newest incidents of one place, newest first."""
    found = await _of_streams(reader, "node-", path, last)
    if path.startswith("gates/") and path.count("/") == 1:
        found += await _of_streams(reader, "gate-" + path.removeprefix("gates/"), path, last)
    return tuple(sorted(found, key=lambda one: -one.position)[:last])


async def _of_streams(reader: Reader, like: str, path: str, last: int) -> list[Incident]:
    found: list[Incident] = []
    after = Position(0)
    while records := await reader.events(after=after, limit=PAGE, streams_like=like):
        found.extend(one for record in records if (one := incident_of(record)).path == path)
        del found[:-last]
        after = records[-1].position
    return found


def incident_of(record: Recorded) -> Incident:
    """An event as an incident."""
    event, name = record.event, type(record.event).__name__
    match event:
        case ActorCrashed(path=path, incarnation=incarnation, message=message, error=error):
            return Incident(
                record.position, event.at, name, path, event.cause, incarnation, message, error
            )
        case ActorRestarted(path=path, incarnation=incarnation):
            return Incident(record.position, event.at, name, path, event.cause, incarnation)
        case SupervisorGaveUp(path=path) | ActorRestartAsked(path=path):
            return Incident(record.position, event.at, name, path, event.cause)
        case GateQuarantined(error=error):
            path = "gates/" + record.stream.removeprefix("gate-")
            return Incident(record.position, event.at, name, path, event.cause, error=error)
        case GateReleased():
            path = "gates/" + record.stream.removeprefix("gate-")
            return Incident(record.position, event.at, name, path, event.cause)
        case _:
            return Incident(record.position, event.at, name, record.stream, event.cause)


def summaries(records: Iterator[Recorded], until: Wall | None) -> tuple[list[Run], list[Summary]]:
    """The lives of nodes and what befell each place, up to an instant."""
    runs: dict[str, Run] = {}
    places: dict[str, Summary] = {}
    for record in records:
        event = record.event
        if until is not None and event.at > until:
            continue
        match event:
            case NodeStarted(pid=pid):
                runs[record.stream] = Run(record.stream.removeprefix("node-"), pid, event.at)
            case NodeStopped() if record.stream in runs:
                run = runs[record.stream]
                runs[record.stream] = Run(run.node, run.pid, run.started_at, event.at)
            case (
                ActorCrashed()
                | ActorRestarted()
                | SupervisorGaveUp()
                | GateQuarantined()
                | GateReleased()
            ):
                one = incident_of(record)
                places[one.path] = _with(places.get(one.path, Summary(one.path)), one)
            case _:
                pass
    return list(runs.values()), sorted(places.values(), key=lambda place: place.path)


def _with(place: Summary, one: Incident) -> Summary:
    is_crash = one.type == "ActorCrashed"
    return Summary(
        path=place.path,
        crashes=place.crashes + is_crash,
        restarts=place.restarts + (one.type == "ActorRestarted"),
        gave_up=place.gave_up + (one.type == "SupervisorGaveUp"),
        quarantined=one.type == "GateQuarantined"
        or (place.quarantined and one.type != "GateReleased"),
        first_at=place.first_at if place.first_at is not None or not is_crash else one.at,
        last_at=one.at if is_crash else place.last_at,
        last_message=one.message if is_crash else place.last_message,
        last_error=one.error or place.last_error,
    )
