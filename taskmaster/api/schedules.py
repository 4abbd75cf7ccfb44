"""From the JSON of a series to its rules, and the next runs of a schedule.

Rules of residence: translation; what a schedule means is the model's. A template carries no
instant of its own, so that the same JSON always makes the same rules.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping

from msgspec import convert, to_builtins
from msgspec.structs import replace

from taskmaster.api.answers import RunOut
from taskmaster.api.bodies import PreviewIn, SeriesIn
from taskmaster.api.encoding import retry_out
from taskmaster.api.submissions import duration, request_of, retry_of
from taskmaster.delivery.egress import Egress
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import (
    BY_RULE,
    SECOND,
    After,
    Cron,
    Every,
    Schedule,
    SeriesRules,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.recurrence import local_text, nominals, refuse_schedule
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.submission import DEFAULT_RETRY, HORIZON_NS, SubmitTask, decide_submission
from taskmaster.units import format_duration

UTC = "UTC"
RUNS_A_TURN = 25
"""Runs reckoned before others have the loop: a rare cron expression takes a millisecond each."""
NO_TIME = Wall(0)


def rules_of(body: SeriesIn, egress: Egress, now: Wall) -> SeriesRules | Rejected:
    """The rules that a body states, every field checked as for a task."""
    schedule = schedule_of(body)
    if isinstance(schedule, Rejected):
        return schedule
    if body.time_zone is not None and body.cron is None:
        return invalid("time_zone", "time_zone is given without cron", "leave it out")
    template = _template(body, egress, now)
    if isinstance(template, Rejected):
        return template
    return SeriesRules(
        gate=template.gate,
        schedule=schedule,
        template=template,
        catch_up=body.catch_up,
        catch_up_limit=body.catch_up_limit,
        stop_on_failure=body.stop_on_failure,
    )


def patched(rules: SeriesRules, patch: Mapping[str, object]) -> SeriesIn | Rejected:
    """The body of a series with these rules, but for the fields of `patch`; None is a default."""
    request, template = rules.template.request, rules.template
    fields: dict[str, object] = {
        "gate": rules.gate,
        "url": request.url,
        "method": request.method,
        "headers": dict(request.headers),
        "body_base64": b64encode(request.body).decode(),
        "timeout": format_duration(template.timeout_ns),
        "retry": to_builtins(retry_out(template.retry)),
        "idempotent": template.idempotent,
        "priority": template.priority,
        "fair_key": template.fair_key or None,
        "order_key": template.order_key or None,
        "labels": dict(template.labels),
        "catch_up": rules.catch_up,
        "catch_up_limit": rules.catch_up_limit,
        "stop_on_failure": rules.stop_on_failure,
    }
    if template.expires_at is not None:
        fields["expires_after"] = format_duration(template.expires_at)
    if "body" in patch:
        del fields["body_base64"]
    when = {name for name in ("every", "after", "cron") if patch.get(name) is not None}
    match rules.schedule:
        case _ if when - {"cron"}:
            pass
        case Cron(expression=expression, time_zone=time_zone):
            fields |= {"cron": expression, "time_zone": time_zone}
        case _ if when:
            pass
        case Every(period_ns=period_ns):
            fields["every"] = format_duration(period_ns)
        case After(period_ns=period_ns):
            fields["after"] = format_duration(period_ns)
    fields |= patch
    if fields["url"] is None:
        return invalid("url", "url is null", "give the endpoint, or leave it out")
    return convert({name: given for name, given in fields.items() if given is not None}, SeriesIn)


def schedule_of(body: SeriesIn | PreviewIn) -> Schedule | Rejected:
    """The one schedule that a body states."""
    stated = [name for name in ("every", "after", "cron") if getattr(body, name) is not None]
    if len(stated) != 1:
        given = " and ".join(stated) or "none"
        message = f"one of every, after and cron is needed ({given} is given)"
        return invalid(stated[1] if stated else "every", message, "give one of them")
    zone = body.time_zone or UTC
    schedule: Schedule
    if body.cron is not None:
        schedule = Cron(body.cron, zone)
    else:
        [field] = stated
        period_ns = duration(field, getattr(body, field))
        if isinstance(period_ns, Rejected):
            return period_ns
        schedule = Every(period_ns) if field == "every" else After(period_ns)
    impossible = refuse_schedule(schedule) or refuse_schedule(Cron("* * * * *", zone))
    if impossible is not None:
        return invalid(impossible.field, impossible.message, impossible.remedy)
    return schedule


def _template(body: SeriesIn, egress: Egress, now: Wall) -> TaskSubmitted | Rejected:
    found = request_of(body, egress)
    if isinstance(found, Rejected):
        return found
    gate, request = found
    timeout_ns: int | Rejected = 30 * SECOND
    if body.timeout is not None:
        timeout_ns = duration("timeout", body.timeout)
        if isinstance(timeout_ns, Rejected):
            return timeout_ns
    retry = DEFAULT_RETRY if body.retry is None else retry_of(body.retry)
    if isinstance(retry, Rejected):
        return retry
    expires_after_ns: int | Rejected = 0
    if body.expires_after is not None:
        expires_after_ns = duration("expires_after", body.expires_after)
        if isinstance(expires_after_ns, Rejected):
            return expires_after_ns
        if not 0 < expires_after_ns <= HORIZON_NS:
            message = "expires_after must be above 0, at most 10 years"
            return invalid("expires_after", message, 'give a duration, such as "1h"')
    expires_at = None if body.expires_after is None else Wall(now + expires_after_ns)
    wish = SubmitTask(
        gate,
        request,
        due_at=now,
        retry=retry,
        timeout_ns=timeout_ns,
        expires_at=expires_at,
        idempotent=body.idempotent,
        priority=body.priority,
        fair_key=body.fair_key or "",
        order_key=body.order_key or "",
        labels=tuple(body.labels.items()) if body.labels else (),
    )
    decided = decide_submission(wish, BY_RULE, now)
    if isinstance(decided, Rejected):
        return decided
    return replace(
        decided,
        at=NO_TIME,
        due_at=NO_TIME,
        expires_at=None if expires_at is None else Wall(expires_after_ns),
    )


def zone_of(schedule: Schedule, wanted: str | None = None) -> str:
    """In which zone runs are shown beside UTC."""
    return schedule.time_zone if isinstance(schedule, Cron) else wanted or UTC


async def next_runs(
    schedule: Schedule, after: Wall, count: int, zone: str, *, first: Wall | None = None
) -> tuple[RunOut, ...]:
    """The next `count` runs after an instant, with `first` before them where it is given."""
    runs = [] if first is None else [first]
    while len(runs) < count:
        more = nominals(schedule, runs[-1] if runs else after, min(RUNS_A_TURN, count - len(runs)))
        if not more:
            break
        runs += more
        await asyncio.sleep(0)
    return tuple(RunOut(rfc3339(at), local_text(_shown(schedule, at), zone)) for at in runs)


def _shown(schedule: Schedule, at: Wall) -> Wall:
    """To the second, as a clock shows it: a series of whole seconds has the fraction of the
    instant at which it was created, which nobody chose. The nominal time itself is exact."""
    match schedule:
        case Every(period_ns=period_ns) | After(period_ns=period_ns) if period_ns % SECOND:
            return at
        case _:
            return Wall(at - at % SECOND)
