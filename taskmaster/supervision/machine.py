"""The decisions of a supervisor, to the letter of Erlang/OTP: state and input in, effects out.

Rules of residence: no clock, no chance, no I/O, no actor; the same inputs give the same effects.
What OTP's supervisor does while it waits for one child (a start, a stop) reads here as it reads
there: one step after the other, `yield` where it waits. Whatever else comes in meanwhile is served
afterwards, in order, as from the mailbox of a process that is busy.

Source: OTP, `stdlib/src/supervisor.erl`. Beyond OTP: back-off, and the period is exact where OTP
reckons in whole seconds. Beside OTP: a dynamic child whose restart is ignored is forgotten.
"""

from collections import deque
from collections.abc import Generator, Hashable, Sequence
from typing import TypeAlias

from taskmaster.supervision.children import Kept
from taskmaster.supervision.messages import (
    Answer,
    Asked,
    Begin,
    ChildEnded,
    CountChildren,
    DeleteChild,
    Effect,
    End,
    Exited,
    GaveUp,
    GetChildSpec,
    Input,
    Ok,
    Refused,
    Reply,
    Request,
    RestartChild,
    RestartFailed,
    SendSelf,
    SetTimer,
    StartChild,
    StartDynamic,
    Started,
    StartFailed,
    StartIgnored,
    Stop,
    TerminateChild,
    TimerFired,
    TryAgain,
    WhichChildren,
)
from taskmaster.supervision.reasons import (
    SHUTDOWN,
    FailedToStart,
    Misspelt,
    Reason,
    is_abnormal,
)
from taskmaster.supervision.specs import (
    ChildSpec,
    Flags,
    check_child,
    check_children,
    check_flags,
)
from taskmaster.supervision.start_stop import StartAndStop, Steps

Answering: TypeAlias = Generator[None, Input, Answer]


class Machine(StartAndStop):
    """One supervisor's state. Give every input to `handle`; carry out the effects in order."""

    def __init__(self, flags: Flags, children: Sequence[ChildSpec]) -> None:
        """Nothing is started before `Begin`.

        Raises:
            Misspelt: the flags, or one of the children.
        """
        check_flags(flags)
        check_children(flags, children)
        self.flags = flags
        self.is_over = False
        super().__init__(children[0] if flags.strategy == "simple_one_for_one" else None)
        if not self.is_simple:
            for spec in children:
                self.children.add(Kept(spec.id, spec))
        self._restarts: deque[int] = deque()
        self._busy: Steps | None = None
        self._later: deque[Input] = deque()

    def handle(self, given: Input, now_ns: int) -> list[Effect]:
        """What follows from an input at this reading of a monotonic clock."""
        self.now_ns = now_ns
        effects = self.effects = []
        if self.is_over:
            return effects
        if self._busy is None:
            self._serve(given)
        elif self.is_waited_for(given):
            self._go_on(given)
        else:
            if isinstance(given, Exited):
                self.ended_meanwhile[given.pid] = given.reason
            self._later.append(given)
        while self._busy is None and self._later and not self.is_over:
            given = self._later.popleft()
            if isinstance(given, Exited) and self.ended_meanwhile.pop(given.pid, None) is None:
                continue  # a stop that followed has seen it
            self._serve(given)
        return effects

    def restarts_in_period(self, now_ns: int) -> int:
        """How many restarts count now; one more than the intensity would be too many."""
        if not self._restarts:
            return 0
        return sum(at >= now_ns - self.flags.period_ns for at in self._restarts)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way: a start or a stop that is waited for."""
        return self._busy is not None

    # --- one input after the other ------------------------------------------------------------

    def _go_on(self, given: Input) -> None:
        assert self._busy is not None
        try:
            self._busy.send(given)
        except StopIteration:
            self._busy = None

    def _serve(self, given: Input) -> None:
        match given:
            case Exited(pid=pid, reason=reason):
                child = self.children.of_pid(pid)
                if child is None:
                    return
                steps = self._ended(child, reason)
            case Asked(request=request, tag=tag):
                steps = self._asked(request, tag)
            case TryAgain(key=key):
                child = self.children.get(key)
                if child is None or not child.is_restarting or child.timer:
                    return
                steps = self._restart(child)
            case TimerFired(timer=timer):
                child = self.backing_off.pop(timer, None)
                if child is None:
                    return
                child.timer = 0
                steps = self._restart_now(child)
            case Begin():
                steps = self._begin()
            case Stop(reason=reason):
                steps = self._end(reason)
            case Started() | StartIgnored() | StartFailed():
                raise AssertionError("the outcome of a start that nobody asked for")
        self._busy = steps
        try:
            next(steps)
        except StopIteration:
            self._busy = None

    # --- start and end of the supervisor ------------------------------------------------------

    def _begin(self) -> Steps:
        """Start in order; a failure stops those before it and ends the supervisor, uncounted."""
        failed = yield from self.start_all(list(self.children))
        if failed is not None:
            child, failure = failed
            yield from self._end(FailedToStart(child.spec.id, failure.reason))

    def _end(self, reason: Reason) -> Steps:
        """Stop every child, the last first (dynamic ones all at once), then end."""
        if self.template is not None:
            yield from self.stop_dynamic(self.template)
        else:
            yield from self.stop_all(list(self.children))
        self.is_over = True
        self.effects.append(End(reason))

    # --- a child has ended --------------------------------------------------------------------

    def _ended(self, child: Kept, reason: Reason) -> Steps:
        restart = child.spec.restart
        is_unwanted = restart == "permanent" or is_abnormal(reason)
        child.last_reason = reason
        if is_unwanted:
            self.effects.append(ChildEnded(child.spec.id, child.pid, child.incarnation, reason))
        if is_unwanted and restart != "temporary":
            yield from self._restart(child)
        else:
            self.stopped(child)
            if self._is_to_shut_down(child):
                yield from self._end(SHUTDOWN)

    def _is_to_shut_down(self, ended: Kept) -> bool:
        """Whether the end of a significant child is that of its supervisor."""
        if not ended.spec.significant:
            return False
        match self.flags.auto_shutdown:
            case "never":
                return False
            case "any_significant":
                return True
            case "all_significant" if self.is_simple:
                return not len(self.children)
            case "all_significant":
                # one that is being restarted is active too
                return not any(
                    child.spec.significant and (child.pid is not None or child.is_restarting)
                    for child in self.children
                )

    # --- restarts -----------------------------------------------------------------------------

    def _restart(self, child: Kept) -> Steps:
        """Count one more restart; give up, restart now, or after a while."""
        now, restarts = self.now_ns, self._restarts
        restarts.append(now)
        while restarts[0] < now - self.flags.period_ns:
            restarts.popleft()
        if len(restarts) > self.flags.intensity:
            self.effects.append(GaveUp(len(restarts)))
            self.stopped(child)
            yield from self._end(SHUTDOWN)
            return
        backoff = child.spec.backoff
        if backoff is None:
            yield from self._restart_now(child)
            return
        if child.pid is not None and now - child.since_ns >= backoff.reset_after_ns:
            child.in_a_row = 0
        self.children.runs(child, None)
        yield from self._stop_fellows(child)
        child.is_restarting = True
        child.timer = next(self.timers)
        self.backing_off[child.timer] = child
        least_ns, most_ns = backoff.wait_ns(child.in_a_row)
        child.in_a_row += 1
        self.effects.append(SetTimer(child.timer, least_ns, most_ns))

    def _restart_now(self, child: Kept) -> Steps:
        """Restart by strategy. A failure is not fatal: it is tried again, after other requests."""
        self.children.runs(child, None)
        yield from self._stop_fellows(child)
        failed = yield from self.start_all(self._group(child))
        if failed is None:
            return
        again, failure = failed
        again.is_restarting = True
        again.last_reason = failure.reason
        self.effects.append(RestartFailed(again.spec.id, again.incarnation, failure.reason))
        if again.spec.backoff is None:
            self.effects.append(SendSelf(again.key))
        else:
            yield from self._restart(again)

    def _stop_fellows(self, child: Kept) -> Steps:
        """Stop those that are restarted with it. It has ended, and is not forgotten as they may be:
        a dynamic child that is stopped is gone."""
        yield from self.stop_all([one for one in self._group(child) if one is not child])

    def _group(self, child: Kept) -> list[Kept]:
        """Those that are restarted together, in order."""
        match self.flags.strategy:
            case "one_for_one" | "simple_one_for_one":
                return [child]
            case "rest_for_one":
                return [child, *self.children.after(child)]
            case "one_for_all":
                return list(self.children)

    # --- requests -----------------------------------------------------------------------------

    def _asked(self, request: Request, tag: object) -> Steps:
        answer: Answer
        match request:
            case StartDynamic(args=args):
                answer = yield from self._start_dynamic(args)
            case StartChild(spec=spec):
                answer = yield from self._start_child(spec)
            case TerminateChild():
                answer = yield from self._terminate_child(request)
            case RestartChild(id=child_id):
                answer = yield from self._restart_child(child_id)
            case DeleteChild(id=child_id):
                answer = self._delete_child(child_id)
            case GetChildSpec(key=key):
                child = self.children.get(key)
                answer = Refused("not_found") if child is None else child.spec
            case WhichChildren():
                answer = tuple(child.shown() for child in reversed(self.children))
            case CountChildren():
                template, children = self.template, self.children
                answer = children.counts() if template is None else children.counts_of(template)
        self.effects.append(Reply(tag, answer))

    def _start_dynamic(self, args: tuple[object, ...]) -> Answering:
        if self.template is None:
            return Refused("misspelt", "only simple_one_for_one starts without a spec")
        child = Kept(None, self.template, args)
        outcome = yield from self.start(child)
        match outcome:
            case StartFailed(reason=reason):
                return Refused("start_failed", reason)
            case StartIgnored():
                return Ok()
            case Started(pid=pid, info=info):
                if child.is_temporary:
                    child.args = ()  # never started again, and there may be very many
                self.runs(child, pid)
                return Ok(pid, info)

    def _start_child(self, spec: ChildSpec) -> Answering:
        if self.is_simple:
            return Refused("simple_one_for_one")
        try:
            check_child(self.flags, spec)
        except Misspelt as error:
            return Refused("misspelt", error)
        present = self.children.get(spec.id)
        if present is not None and present.pid is not None:
            return Refused("already_started", present.pid)
        if present is not None:
            return Refused("already_present")
        child = Kept(spec.id, spec)
        outcome = yield from self.start(child)
        match outcome:
            case StartFailed(reason=reason):
                return Refused("start_failed", reason)
            case StartIgnored():
                if not child.is_temporary:
                    self.children.add(child)
                return Ok()
            case Started(pid=pid, info=info):
                if child.is_temporary:
                    child.forget_start()
                self.children.add(child)
                self.runs(child, pid)
                return Ok(pid, info)

    def _terminate_child(self, request: TerminateChild) -> Answering:
        if self.is_simple and not request.is_pid:
            return Refused("simple_one_for_one")
        child = self.children.get(request.key)
        if child is None:
            is_as_good_as_stopped = self.is_simple and not request.is_alive
            return Ok() if is_as_good_as_stopped else Refused("not_found")
        yield from self.stop(child)
        return Ok()

    def _restart_child(self, child_id: Hashable) -> Answering:
        child = self._stopped_child(child_id)
        if isinstance(child, Refused):
            return child
        outcome = yield from self.start(child)
        match outcome:
            case StartFailed(reason=reason):  # not tried again, not counted
                return Refused("start_failed", reason)
            case StartIgnored():
                return Ok()
            case Started(pid=pid, info=info):
                self.runs(child, pid)
                return Ok(pid, info)

    def _delete_child(self, child_id: Hashable) -> Answer:
        child = self._stopped_child(child_id)
        if isinstance(child, Refused):
            return child
        self.children.remove(child)
        return Ok()

    def _stopped_child(self, child_id: Hashable) -> Kept | Refused:
        """The child of that id if it is stopped, or why it is not."""
        if self.is_simple:
            return Refused("simple_one_for_one")
        child = self.children.get(child_id)
        if child is None:
            return Refused("not_found")
        if child.is_restarting:
            return Refused("restarting")
        return child if child.pid is None else Refused("running")
