"""A dynamic child that ends for a wrong reason (supervision as in OTP's `simple_one_for_one`)."""

from taskmaster.supervision.machine import Machine
from taskmaster.supervision.messages import Asked, Begin, Exited, Start, StartDynamic, Started
from taskmaster.supervision.reasons import Crash
from taskmaster.supervision.specs import ChildSpec, Flags


def test_a_dynamic_child_that_crashes_is_started_again_with_its_arguments() -> None:
    machine = Machine(Flags("simple_one_for_one"), [ChildSpec("t", print)])
    for given in (Begin(), Asked(StartDynamic(("a", 1))), Started("p1")):
        machine.handle(given, now_ns=0)

    effects = machine.handle(Exited("p1", Crash(ValueError())), now_ns=0)
    machine.handle(Started("p2"), now_ns=0)

    starts = [(one.args, one.incarnation) for one in effects if isinstance(one, Start)]
    assert starts == [(("a", 1), 2)]
    assert [child.pid for child in machine.children] == ["p2"]
