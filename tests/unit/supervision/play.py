"""Scenarios of supervision in one line each, played on the machine alone and on real actors.

`play("rest_for_one", "a b:M c", "a!boom; which", "+a +b +c; -c -b +a +c; [c a]")` reads: children
a, b (temporary) and c; a crashes, then the children are asked for; what is to be seen after the
start and after each step.

Children: `name[:P|T|M][/plan][%stop][=shutdown][*]`. The plan says of each start whether it goes
`o`k, `e`rrs or is `i`gnored (the last repeats); stop is what it does when asked to: obey (default),
refuse, or an exit reason; shutdown is `kill`, `inf` or milliseconds; `*` is significant; a name in
capitals is a supervisor.
Steps: `a!reason`, `term a`, `restart a`, `delete a`, `start CHILD`, `which`, `count`, `stop`,
`at SECONDS`, `both a b` (crash at once).
Seen: `+a` started, `!a` start failed, `?a` ignored, `-a` stopped, `-a:r` ended with r when asked to
stop, `~a` refused, `#a` killed, `r:a` its stop is reported as odd; replies; `end:reason`.
"""

import asyncio
import re
from collections import deque
from typing import Any, Literal, NamedTuple, cast

from pykka import ActorRef

from taskmaster.supervision import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    ChildFailed,
    ChildSpec,
    Counts,
    Crash,
    Down,
    Flags,
    Hook,
    Ignored,
    LoopActor,
    Ok,
    Reason,
    Refused,
    Shutdown,
    Supervisor,
    World,
    kill,
    tell,
    tell_to_stop,
    watch,
)
from taskmaster.supervision.machine import Machine
from taskmaster.supervision.messages import (
    Answer,
    Asked,
    AskToStop,
    Begin,
    Child,
    CountChildren,
    DeleteChild,
    Effect,
    End,
    Exited,
    Input,
    Kill,
    Reply,
    Request,
    RestartChild,
    SendSelf,
    SetTimer,
    Start,
    StartChild,
    StartDynamic,
    Started,
    StartFailed,
    StartIgnored,
    Stop,
    StopFailed,
    TerminateChild,
    TimerFired,
    TryAgain,
    WhichChildren,
)
from taskmaster.supervision.reasons import FailedToStart, Misspelt
from taskmaster.supervision.specs import SECOND_NS, Restart, ShutdownTime
from tests.unit.actors.loops import run_on

KID = re.compile(r"(\w+)(?::([PTM]))?(?:/([oei]+))?(?:%(\w+))?(?:=(\w+))?(\*)?$")
TYPES: dict[str, Restart] = {"P": "permanent", "T": "transient", "M": "temporary"}
BOOM = ValueError("boom")
REASONS: dict[str, Reason] = {
    "normal": NORMAL,
    "shutdown": SHUTDOWN,
    "x": Shutdown("x"),
    "boom": Crash(BOOM),
    "kill": KILLED,
}


class Kid(NamedTuple):
    """What a child does."""

    name: str
    restart: Restart
    plan: str
    stop: str
    shutdown: ShutdownTime
    significant: bool

    @staticmethod
    def parse(text: str, default: Restart = "permanent") -> "Kid":
        found = KID.match(text)
        assert found, text
        name, restart, plan, stop, shutdown, significant = found.groups()
        time: ShutdownTime = 1_000_000_000
        if shutdown == "kill":
            time = "brutal_kill"
        elif shutdown == "inf":
            time = "infinity"
        elif shutdown:
            time = int(shutdown) * 1_000_000
        kind = TYPES[restart] if restart else default
        return Kid(name, kind, plan or "o", stop or "obey", time, bool(significant))

    def spec(self, start: Any) -> ChildSpec:
        kind: Literal["worker", "supervisor"] = "supervisor" if self.name.isupper() else "worker"
        return ChildSpec(self.name, start, self.restart, self.shutdown, kind, self.significant)


class Stage:
    """What both ways to play have in common: how it is asked, and what is seen."""

    def __init__(self, flags: Flags, kids: str) -> None:
        self.flags = flags
        self.kids = [Kid.parse(text) for text in kids.split()]
        self.seen: list[str] = []
        self.now_ns = 0
        self.is_over = False
        self.starts: dict[str, int] = {}
        self.last_pid: dict[str, Any] = {}

    @property
    def is_simple(self) -> bool:
        return self.flags.strategy == "simple_one_for_one"

    def outcome(self, kid: Kid) -> str:
        number = self.starts[kid.name] = self.starts.get(kid.name, 0) + 1
        way = kid.plan[min(number, len(kid.plan)) - 1]
        self.seen.append({"o": "+", "e": "!", "i": "?"}[way] + kid.name)
        return way

    def request(self, step: str) -> Request | None:
        match step.split():
            case ["term", name] if self.is_simple:
                pid = self.last_pid.get(name, name)
                return TerminateChild(pid, is_pid=True, is_alive=self.is_alive(pid))
            case ["termid" | "term", name]:
                return TerminateChild(name)
            case ["restart", name]:
                return RestartChild(name)
            case ["delete", name]:
                return DeleteChild(name)
            case ["which"]:
                return WhichChildren()
            case ["count"]:
                return CountChildren()
            case _:
                return None

    def is_alive(self, pid: object) -> bool:
        raise NotImplementedError

    def saw(self, answer: Answer) -> None:
        match answer:
            case Ok(child=None, info=None):
                self.seen.append("ok")
            case Ok(info=None):
                self.seen.append("ok+")
            case Ok(info=info):
                self.seen.append(f"ok+{info}")
            case Refused(reason="misspelt", detail=detail):
                self.seen.append(detail.why if isinstance(detail, Misspelt) else "misspelt")
            case Refused(reason=reason):
                self.seen.append(reason)
            case Counts(specs, active, supervisors, workers):
                self.seen.append(f"{specs}/{active}/{supervisors}/{workers}")
            case ChildSpec():
                self.seen.append("spec")
            case _:
                marks = {"running": "", "restarting": "?", "stopped": "-"}
                self.seen.append(
                    "[" + " ".join(f"{self.name(one)}{marks[one.state]}" for one in answer) + "]"
                )

    def name(self, child: Child) -> object:
        if not self.is_simple:
            return child.id
        return next((name for name, pid in self.last_pid.items() if pid == child.pid), "?")

    def saw_end(self, reason: Reason) -> None:
        self.is_over = True
        match reason:
            case FailedToStart(child=child) | Crash(error=ChildFailed(child=child)):
                self.seen.append(f"failed:{child}")
            case _:
                names = [name for name, one in REASONS.items() if one == reason]
                self.seen.append(f"end:{names[0] if names else reason}")


# --- on the machine ---------------------------------------------------------------------------


class OnMachine(Stage):
    """Plays children that are nothing but their names."""

    def __init__(self, flags: Flags, kids: str) -> None:
        super().__init__(flags, kids)
        self.alive: dict[object, Kid] = {}
        self.inbox: deque[Input] = deque()
        self.timers: deque[int] = deque()
        self.machine = Machine(flags, [kid.spec(kid.outcome_of(self)) for kid in self.actors()])

    def actors(self) -> "list[_Startable]":
        return [_Startable(*kid) for kid in self.kids]

    def begin(self) -> None:
        self.inbox.append(Begin())
        self.settle()

    def is_alive(self, pid: object) -> bool:
        return pid in self.alive

    def settle(self) -> None:
        for _ in range(200):
            if self.inbox:
                given = self.inbox.popleft()
            elif self.timers:
                given = TimerFired(self.timers.popleft())
            else:
                return
            for effect in self.machine.handle(given, self.now_ns):
                self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Start(spec=spec, args=args):
                self.inbox.appendleft(spec.start(*args))
            case AskToStop(pid=pid) if pid in self.alive:
                self._stop(pid)
            case Kill(pid=pid) if pid in self.alive:
                self.seen.append(f"#{self.alive.pop(pid).name}")
                self.inbox.append(Exited(pid, KILLED))
            case SetTimer(timer=timer):
                self.timers.append(timer)
            case SendSelf(key=key):
                self.inbox.append(TryAgain(key))
            case Reply(answer=answer):
                self.saw(answer)
            case StopFailed(id=child):
                self.seen.append(f"r:{child}")
            case End(reason=reason):
                self.saw_end(reason)
            case _:
                pass

    def _stop(self, pid: Any) -> None:
        kid = self.alive[pid]
        if kid.stop == "refuse":
            self.seen.append(f"~{kid.name}")
            return
        del self.alive[pid]
        reason = SHUTDOWN if kid.stop == "obey" else REASONS[kid.stop]
        self.seen.append(f"-{kid.name}" + ("" if kid.stop == "obey" else f":{kid.stop}"))
        self.inbox.append(Exited(pid, reason))

    def do(self, step: str) -> None:
        request = self.request(step)
        if request is not None:
            self.inbox.append(Asked(request))
        elif "!" in step:
            name, reason = step.split("!")
            self._exit(name, reason)
        else:
            self._do_else(*step.split())
        self.settle()

    def _do_else(self, verb: str, *names: str) -> None:
        match verb:
            case "both":
                for name in names:
                    self._exit(name, "boom")
            case "at":
                self.now_ns = round(float(names[0]) * SECOND_NS)
            case "start" if self.is_simple:
                self.inbox.append(Asked(StartDynamic((names[0],))))
            case "start":
                kid = _Startable(*Kid.parse(names[0]))
                self.inbox.append(Asked(StartChild(kid.spec(kid.outcome_of(self)))))
            case "stop":
                self.inbox.append(Stop(SHUTDOWN))
            case _:
                raise AssertionError(verb)

    def _exit(self, name: str, reason: str) -> None:
        pid = self.last_pid[name]
        if self.alive.pop(pid, None) is None:
            return
        if reason == "kill":
            self.seen.append(f"#{name}")
        self.inbox.append(Exited(pid, REASONS[reason]))


class _Startable(Kid):
    def outcome_of(self, stage: OnMachine) -> Any:
        def start(*args: str) -> Input:
            kid = Kid.parse(args[0], self.restart) if args else self
            match stage.outcome(kid):
                case "o":
                    pid = f"{kid.name}{stage.starts[kid.name]}"
                    stage.alive[pid] = kid
                    stage.last_pid[kid.name] = pid
                    return Started(pid)
                case "i":
                    return StartIgnored()
                case _:
                    return StartFailed("planned")

        return start


# --- on actors --------------------------------------------------------------------------------


class KidActor(LoopActor):
    """Does what its letter says."""

    def __init__(self, kid: Kid, stage: "OnActors") -> None:
        super().__init__()
        self._kid = kid
        self._stage = stage
        self._is_asked = True

    def on_start(self) -> None:
        match self._stage.outcome(self._kid):
            case "e":
                raise OSError(self._kid.name)
            case "i":
                raise Ignored
            case _:
                self._stage.last_pid[self._kid.name] = self.actor_ref

    def on_receive(self, message: object) -> None:
        if isinstance(message, Crash):
            raise message.error
        self._is_asked = False
        self.exit(cast("Reason", message))

    def on_stop(self) -> Hook | None:
        kid, seen = self._kid, self._stage.seen
        if not self._is_asked:
            return None
        if kid.stop == "refuse":
            seen.append(f"~{kid.name}")
            return self._never()
        seen.append(f"-{kid.name}" + ("" if kid.stop == "obey" else f":{kid.stop}"))
        if kid.stop == "boom":
            raise BOOM
        if kid.stop != "obey":
            self.exit(REASONS[kid.stop])
        return None

    async def _never(self) -> None:
        await asyncio.get_running_loop().create_future()

    def let_go(self) -> None:
        if self.life.end == KILLED:
            self._stage.seen.append(f"#{self._kid.name}")


class OnActors(Stage):
    """Plays with real actors in virtual time."""

    def __init__(self, flags: Flags, kids: str) -> None:
        super().__init__(flags, kids)
        self.supervisor = Supervisor(
            [kid.spec(self._starting(kid)) for kid in self.kids],
            world=World(mono_ns=lambda: self.now_ns, report=self._report),
            strategy=flags.strategy,
            intensity=flags.intensity,
            period_ns=flags.period_ns,
            auto_shutdown=flags.auto_shutdown,
        )

    def _starting(self, template: Kid) -> Any:
        def start(*args: str) -> "ActorRef[Any]":
            kid = Kid.parse(args[0], template.restart) if args else template
            return KidActor(kid, self).launch()

        return start

    def _report(self, report: object) -> None:
        if isinstance(report, StopFailed):
            self.seen.append(f"r:{report.id}")

    def _down(self, down: Down) -> None:
        self.saw_end(down.reason)

    def is_alive(self, pid: object) -> bool:
        return isinstance(pid, ActorRef) and cast("ActorRef[Any]", pid).is_alive()

    async def begin(self) -> None:
        watch(self.supervisor.launch(), self._down)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(40):
            await asyncio.sleep(0)
        if not self._loops():
            await asyncio.sleep(10)

    def _loops(self) -> bool:
        """A restart is tried again and again: virtual time stands still."""
        return any(child.is_restarting for child in self.supervisor.kept)

    async def do(self, step: str) -> None:
        request = self.request(step)
        if request is not None:
            self.saw(cast("Answer", await self.supervisor.actor_ref.ask(request, block=False)))
        elif "!" in step:
            name, reason = step.split("!")
            self._exit(name, reason)
        else:
            await self._do_else(*step.split())
        await self._settle()

    async def _do_else(self, verb: str, *names: str) -> None:
        match verb:
            case "both":
                for name in names:
                    self._exit(name, "boom")
            case "at":
                self.now_ns = round(float(names[0]) * SECOND_NS)
            case "start" if self.is_simple:
                self.saw(await self.supervisor.start_dynamic(names[0]))
            case "start":
                kid = Kid.parse(names[0])
                self.saw(await self.supervisor.start_child(kid.spec(self._starting(kid))))
            case "stop":
                tell_to_stop(self.supervisor.actor_ref, SHUTDOWN)
            case _:
                raise AssertionError(verb)

    def _exit(self, name: str, reason: str) -> None:
        ref = self.last_pid[name]
        if reason == "kill":
            kill(ref)
        else:
            tell(ref, REASONS[reason])


# --- playing ----------------------------------------------------------------------------------


def play(
    how: str,
    strategy: str,
    kids: str,
    steps: str,
    *,
    intensity: int = 3,
    period_s: float = 5,
    auto: str = "never",
    without: str = "",
) -> str:
    """What is seen, the segments of the steps divided by semicolons; `without` is left out: the
    tries of a restart that fails again and again."""
    flags = Flags(cast("Any", strategy), intensity, round(period_s * SECOND_NS), cast("Any", auto))
    wanted = [step.strip() for step in steps.split(";") if step.strip()]
    segments: list[str] = []

    def cut(stage: Stage) -> None:
        seen = [one for one in stage.seen if one not in without.split()]
        stage.seen.clear()
        segments.append(" ".join(sorted(seen) if stage.is_simple else seen))

    if how == "machine":
        stage = OnMachine(flags, kids)
        stage.begin()
        cut(stage)
        for step in wanted:
            if not stage.is_over:
                stage.do(step)
                cut(stage)
        return "; ".join(segments)

    async def main() -> None:
        stage = OnActors(flags, kids)
        await stage.begin()
        cut(stage)
        for step in wanted:
            if not stage.is_over:
                await stage.do(step)
                cut(stage)

    run_on("simulated", main())
    return "; ".join(segments)
