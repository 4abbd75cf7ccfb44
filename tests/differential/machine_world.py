"""The supervisors' machines alone, in a world of processes that are made up here.

Processes end when they are told to, mail is a queue for each supervisor, and time passes only when
nothing else is left to happen. What the effects of a machine mean is said here in the shortest way;
the actors that do it in earnest are played by `actor_world.py`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count

from msgspec import Struct

from taskmaster.supervision.machine import Machine
from taskmaster.supervision.messages import (
    Asked,
    AskToStop,
    Begin,
    CancelTimer,
    Effect,
    End,
    Exited,
    Input,
    Kill,
    Reply,
    SendSelf,
    SetTimer,
    Start,
    Started,
    StartFailed,
    StartIgnored,
    Stop,
    TimerFired,
    TryAgain,
)
from taskmaster.supervision.reasons import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    Crash,
    Misspelt,
    Reason,
    Shutdown,
)
from taskmaster.supervision.specs import ChildSpec, Flags
from tests.differential import scenarios as plays
from tests.differential.requests import Plans, Question, Starter, child_spec, flags, request
from tests.differential.scenarios import Kid, Op, Scenario, Tree
from tests.differential.traces import why

MachineOf = Callable[[Flags, Sequence[ChildSpec]], Machine]
MS = 1_000_000
REASONS: dict[str, Reason] = {
    "normal": NORMAL,
    "shutdown": SHUTDOWN,
    "shutdown(x)": Shutdown("x"),
    "boom": Crash(RuntimeError("boom")),
    "kill": KILLED,
}


class Process:
    """A worker or a supervisor; its own pid."""

    def __init__(self, label: str, parent: "Process | None", kid: Kid | None) -> None:
        self.label = label  # its name, and which start it was
        self.parent = parent
        self.kid = kid
        self.is_alive = True
        self.machine: Machine | None = None
        self.mail: deque[Input] = deque()
        self.is_held = False  # its mail waits, in a burst
        self.is_serving = False
        self.is_starting = True

    @property
    def name(self) -> str:
        return self.label.partition("#")[0]


class _Due(Struct, frozen=True, order=True):
    at_ns: int
    number: int


def play(one: Scenario, machine_of: MachineOf = Machine) -> list[str]:
    """The trace of a scenario."""
    world = _World(one, machine_of)
    world.play()
    return world.trace


class _World:
    def __init__(self, one: Scenario, machine_of: MachineOf) -> None:
        self.trace: list[str] = []
        self._scenario = one
        self._machine_of = machine_of
        self._plans = Plans(one, self.trace)
        self._processes: dict[str, Process] = {}  # the last of each name
        self._now_ns = 0
        self._due: list[_Due] = []
        self._timers: dict[int, tuple[Process, int]] = {}
        self._numbers = count()

    def play(self) -> None:
        _, label = self._plans.next_start("root")
        root = self._supervisor(label, None, None, self._scenario.tree)
        self._be_quiet()
        if isinstance(root, str):
            self.trace.append(f"< {root}")
            return
        if not root.is_alive:
            return
        self.trace.append("< ok")
        for op in (*self._scenario.ops, plays.Stop()):
            if not root.is_alive:
                return
            self.trace.append(">")
            awaited = self._play(op)
            self._be_quiet()
            for answer in awaited:
                text = answer if isinstance(answer, str) else answer.text(_label)
                self.trace.append(f"< {text}")

    # --- operations -----------------------------------------------------------------------------

    def _play(self, op: Op) -> list[Question | str]:
        """Do it; the answers, or what is still to be answered."""
        match op:
            case plays.Wait(ms=ms):
                self._now_ns += ms * MS
                return []
            case plays.Stop():
                self._tell(self._processes["root"], Stop(SHUTDOWN))
                return []
            case plays.Crash(name=name, why=reason):
                worker = self._alive(name)
                if worker is None:
                    return ["absent"]
                self._end(worker, REASONS[reason])
                return []
            case plays.Burst(supervisor=name, ops=ops):
                supervisor = self._alive(name)
                if supervisor is None:
                    return ["noproc"]
                supervisor.is_held = True
                awaited = [answer for single in ops for answer in self._play(single)]
                supervisor.is_held = False
                self._serve(supervisor)
                return awaited
            case _:
                supervisor = self._alive(op.supervisor)
                if supervisor is None:
                    return ["noproc"]
                assert supervisor.machine is not None
                question = Question(op, is_simple=supervisor.machine.is_simple)
                asked = request(op, _as_it_is, self._processes.get, lambda one: one.is_alive)
                self._tell(supervisor, Asked(asked, question))
                return [question]

    def _alive(self, name: str) -> Process | None:
        process = self._processes.get(name)
        return process if process is not None and process.is_alive else None

    def _be_quiet(self) -> None:
        """Let pass the time for which anybody waits."""
        while self._due:
            due = heappop(self._due)
            waiting = self._timers.pop(due.number, None)
            if waiting is not None and waiting[0].is_alive:
                self._now_ns = max(self._now_ns, due.at_ns)
                self._tell(waiting[0], TimerFired(waiting[1]))

    # --- processes ------------------------------------------------------------------------------

    def _supervisor(
        self, label: str, parent: Process | None, kid: Kid | None, tree: Tree
    ) -> Process | str:
        """Start a supervisor: it, or why it has failed at once."""
        process = Process(label, parent, kid)
        try:
            process.machine = self._machine_of(
                flags(tree),
                [child_spec(process.name, one, _as_it_is) for one in tree.kids],
            )
        except Misspelt as error:
            self.trace.append(f"end {process.name} {error.why}")
            return error.why
        self._processes[process.name] = process
        self._tell(process, Begin())
        return process

    def _end(self, process: Process, reason: Reason) -> None:
        process.is_alive = False
        self.trace.append(f"end {process.name} {why(reason)}")
        if process.parent is not None:
            outcome = StartFailed(reason) if process.is_starting else Exited(process, reason)
            self._tell(process.parent, outcome)
        elif process.is_starting:
            self.trace.append(f"< {why(reason)}")

    def _tell(self, process: Process, given: Input) -> None:
        process.mail.append(given)
        self._serve(process)

    def _serve(self, process: Process) -> None:
        machine = process.machine
        assert machine is not None
        if process.is_held or process.is_serving:
            return
        process.is_serving = True
        while process.mail:
            for effect in machine.handle(process.mail.popleft(), self._now_ns):
                self._carry_out(process, effect)
            if process.is_starting and process.is_alive and not machine.is_busy:
                process.is_starting = False
                if process.parent is not None:
                    self._tell(process.parent, Started(process))
        process.is_serving = False

    def _carry_out(self, process: Process, effect: Effect) -> None:
        match effect:
            case Start(spec=spec, args=args):
                self._start(process, spec, args)
            case AskToStop(pid=pid):
                assert isinstance(pid, Process)
                self._ask_to_stop(pid)
            case Kill(pid=pid):
                assert isinstance(pid, Process)
                assert pid.machine is None, "no scenario kills a supervisor"
                if pid.is_alive:
                    self._end(pid, KILLED)
            case SetTimer(timer=timer, least_ns=least_ns):
                number = next(self._numbers)
                self._timers[number] = (process, timer)
                heappush(self._due, _Due(self._now_ns + least_ns, number))
            case CancelTimer(timer=timer):
                for number, waiting in list(self._timers.items()):
                    if waiting == (process, timer):
                        del self._timers[number]
            case SendSelf(key=key):
                process.mail.append(TryAgain(key))
            case Reply(tag=tag, answer=answer):
                assert isinstance(tag, Question)
                tag.answer = answer
            case End(reason=reason):
                self._end(process, reason)
            case _:
                pass  # a report

    def _start(self, parent: Process, spec: ChildSpec, args: tuple[object, ...]) -> None:
        who = spec.start(*args)
        assert isinstance(who, Starter)
        name, kid = who.name, who.kid
        result, label = self._plans.next_start(name)
        match result:
            case "ok" if kid.tree is not None:
                started = self._supervisor(label, parent, kid, kid.tree)
                if isinstance(started, str):
                    parent.mail.append(StartFailed(started))
            case "ok":
                worker = self._processes[name] = Process(label, parent, kid)
                worker.is_starting = False
                parent.mail.append(Started(worker))
            case "ignore":
                parent.mail.append(StartIgnored())
            case "error":
                parent.mail.append(StartFailed("no"))
            case "crash":
                parent.mail.append(StartFailed("crash"))
            case "dies":
                parent.mail.append(StartFailed("died"))

    def _ask_to_stop(self, process: Process) -> None:
        if not process.is_alive:
            return  # its end is on its way
        if process.machine is not None:
            self._tell(process, Stop(SHUTDOWN))
            return
        assert process.kid is not None
        self.trace.append(f"ask {process.name} shutdown")
        match process.kid.on_stop:
            case "obey":
                self._end(process, SHUTDOWN)
            case "refuse":
                pass
            case leaving:
                self._end(process, REASONS[leaving.removeprefix("leave ")])


def _as_it_is(starter: Starter) -> Starter:
    return starter


def _label(pid: object) -> str:
    assert isinstance(pid, Process)
    return pid.label
