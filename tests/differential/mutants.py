"""Supervisors with one wrong decision each: what the comparison with OTP is there to catch."""

from collections.abc import Sequence

from msgspec.structs import replace

from taskmaster.supervision.children import Kept
from taskmaster.supervision.machine import Machine
from taskmaster.supervision.reasons import KILLED, Reason, Shutdown
from taskmaster.supervision.specs import ChildSpec, Flags
from taskmaster.supervision.start_stop import Steps


class OneRestartTooMany(Machine):
    """The intensity is off by one."""

    def __init__(self, flags: Flags, children: Sequence[ChildSpec]) -> None:
        super().__init__(replace(flags, intensity=flags.intensity + 1), children)


class StopsInStartOrder(Machine):
    def stop_all(self, children: Sequence[Kept]) -> Steps:
        yield from super().stop_all(children[::-1])


class RestartsAfterShutdown(Machine):
    """To it `shutdown` is as abnormal as a crash."""

    def _ended(self, child: Kept, reason: Reason) -> Steps:
        yield from super()._ended(child, KILLED if isinstance(reason, Shutdown) else reason)


class RestForOneRestartsAll(Machine):
    def _group(self, child: Kept) -> list[Kept]:
        if self.flags.strategy == "rest_for_one":
            return list(self.children)
        return super()._group(child)


class TriesAgainForNothing(Machine):
    """A restart that failed is tried again without being counted."""

    def _restart(self, child: Kept) -> Steps:
        again = self._restart_now if child.is_restarting else super()._restart
        yield from again(child)


class HasNoSignificantChildren(Machine):
    def _is_to_shut_down(self, ended: Kept) -> bool:
        return False


class ForgetsTooLate(Machine):
    """What lies a little before the period counts as well."""

    def __init__(self, flags: Flags, children: Sequence[ChildSpec]) -> None:
        super().__init__(replace(flags, period_ns=flags.period_ns * 2), children)


class ForgetsTooSoon(Machine):
    def __init__(self, flags: Flags, children: Sequence[ChildSpec]) -> None:
        super().__init__(replace(flags, period_ns=flags.period_ns // 2), children)


MUTANTS = (
    OneRestartTooMany,
    StopsInStartOrder,
    RestartsAfterShutdown,
    RestForOneRestartsAll,
    TriesAgainForNothing,
    HasNoSignificantChildren,
    ForgetsTooLate,
    ForgetsTooSoon,
)
