"""The 48 situations of supervision whose outcome is OTP's, each on the machine and on actors.

The ids are the numbers of the situations; what needs more than a line is in `test_otp_actors.py`.
"""

from typing import Any

import pytest

from tests.unit.supervision.play import play

OFO, OFA, RFO, SIMPLE = "one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"
ENDLESS: dict[str, Any] = {"intensity": 10**9, "without": "!a"}

ROWS: list[tuple[str, str, str, str, str, dict[str, Any]]] = [
    ("1", OFO, "a", "a!normal; which; a!normal", "+a; +a; [a]; end:shutdown", {"intensity": 1}),
    (
        "2",
        OFO,
        "a:T b:T c:T",
        "a!normal; b!shutdown; c!x; which",
        "+a +b +c; ; ; ; [c- b- a-]",
        {"intensity": 0},
    ),
    ("3", OFO, "a:T", "a!boom; a!kill; which", "+a; +a; #a +a; [a]", {}),
    (
        "4",
        OFO,
        "a:M b:M c:M d:M",
        "a!boom; b!normal; c!kill; d!x; which",
        "+a +b +c +d; ; ; #c; ; []",
        {"intensity": 0},
    ),
    (
        "5",
        OFO,
        "a b c",
        "b!boom; b!boom; b!boom",
        "+a +b +c; +b; +b; -c -a end:shutdown",
        {"intensity": 2},
    ),
    ("6", OFO, "a b c", "b!boom", "+a +b +c; -c -a end:shutdown", {"intensity": 0}),
    (
        "7",
        OFO,
        "a",
        "a!boom; at 0.9; a!boom",
        "+a; +a; ; end:shutdown",
        {"intensity": 1, "period_s": 1},
    ),
    (
        "7-inclusive",
        OFO,
        "a",
        "a!boom; at 1; a!boom",
        "+a; +a; ; end:shutdown",
        {"intensity": 1, "period_s": 1},
    ),
    (
        "8",
        OFO,
        "a",
        "a!boom; at 2.05; a!boom; which",
        "+a; +a; ; +a; [a]",
        {"intensity": 1, "period_s": 1},
    ),
    ("9", RFO, "a b c d", "b!boom", "+a +b +c +d; -d -c +b +c +d", {}),
    ("10", RFO, "a b c:M d", "b!boom; which", "+a +b +c +d; -d -c +b +d; [d b a]", {}),
    (
        "11",
        RFO,
        "a b/oeo c d",
        "b!boom; which",
        "+a +b +c +d; -d -c !b +b +c +d; [d c b a]",
        {"intensity": 2},
    ),
    (
        "11-counts-2",
        RFO,
        "a b/oeo c d",
        "b!boom",
        "+a +b +c +d; -d -c !b -a end:shutdown",
        {"intensity": 1},
    ),
    ("12", OFA, "a b", "a!boom", "+a +b; -b +a +b", {}),
    (
        "13",
        OFA,
        "a b/oe",
        "a!boom",
        "+a +b; -b +a !b -a +a !b -a +a !b -a +a !b -a end:shutdown",
        {"intensity": 4},
    ),
    ("14-ofo", OFO, "a b/e c", "", "+a !b -a failed:b", {}),
    ("14-ofa", OFA, "a b/e c", "", "+a !b -a failed:b", {}),
    ("14-rfo", RFO, "a b/e c", "", "+a !b -a failed:b", {}),
    ("15", OFO, "a:M/i b", "which", "?a +b; [b]", {}),
    ("16", OFO, "a/i b", "which; count", "?a +b; [b a-]; 2/1/0/2", {}),
    ("17", OFO, "a/oi", "a!boom; which", "+a; ?a; [a-]", {}),
    ("18", OFO, "a", "start b/e; which", "+a; !b start_failed; [a]", {}),
    ("19-running", OFO, "a", "start a", "+a; already_started", {}),
    ("19-stopped", OFO, "a:T", "a!normal; start a", "+a; ; already_present", {}),
    ("19-restarting", OFO, "a/oe", "a!boom; start a", "+a; ; already_present", ENDLESS),
    (
        "20",
        OFO,
        "a b",
        "term a; term a; term z; which",
        "+a +b; -a ok; ok; not_found; [b a-]",
        {"intensity": 0},
    ),
    (
        "20-significant",
        OFO,
        "a:T* b",
        "term a; which",
        "+a +b; -a ok; [b a-]",
        {"auto": "any_significant"},
    ),
    ("21", OFO, "a:M b", "term a; which; term a", "+a +b; -a ok; [b]; not_found", {}),
    (
        "22",
        OFO,
        "a",
        "term a; restart a; restart a; restart z",
        "+a; -a ok; +a ok+; running; not_found",
        {},
    ),
    (
        "23",
        OFO,
        "a/oeo b",
        "term a; restart a; which; restart a",
        "+a +b; -a ok; !a start_failed; [b a-]; +a ok+",
        {"intensity": 0},
    ),
    (
        "24",
        OFO,
        "a b",
        "term a; delete a; delete b; delete z; which",
        "+a +b; -a ok; ok; running; not_found; [b]",
        {},
    ),
    (
        "25",
        OFO,
        "a/oe b",
        "a!boom; delete a; restart a; which",
        "+a +b; ; restarting; restarting; [b a?]",
        ENDLESS,
    ),
    ("26", OFO, "a/oe b", "a!boom; term a; which", "+a +b; ; ok; [b a-]", ENDLESS),
    ("27", OFO, "a/oe b", "a!boom; stop", "+a +b; ; -b end:shutdown", ENDLESS),
    ("28", OFO, "a b c", "stop", "+a +b +c; -c -b -a end:shutdown", {}),
    ("29", OFO, "a b%refuse=20 c", "stop", "+a +b +c; -c ~b #b r:b -a end:shutdown", {}),
    ("30", OFO, "a b=kill c", "stop", "+a +b +c; -c #b -a end:shutdown", {}),
    ("31", OFO, "a b%boom c", "stop", "+a +b +c; -c -b:boom r:b -a end:shutdown", {}),
    (
        "32-temporary",
        OFO,
        "a:M* b",
        "a!boom",
        "+a +b; -b end:shutdown",
        {"auto": "any_significant"},
    ),
    (
        "32-transient",
        OFO,
        "a:T* b",
        "a!normal",
        "+a +b; -b end:shutdown",
        {"auto": "any_significant"},
    ),
    ("33", OFO, "a:T* b", "a!boom; which", "+a +b; +a; [b a]", {"auto": "any_significant"}),
    (
        "34",
        OFO,
        "a:T* b:M* c",
        "a!normal; which; b!normal",
        "+a +b +c; ; [c b a-]; -c end:shutdown",
        {"auto": "all_significant"},
    ),
    (
        "34-restarting",
        OFO,
        "a:T/oe* b:T*",
        "a!boom; b!normal; which; term a; which",
        "+a +b; ; ; [b- a?]; ok; [b- a-]",
        {**ENDLESS, "auto": "all_significant"},
    ),
    ("35", RFO, "a b:T*", "a!boom; which", "+a +b; -b +a +b; [b a]", {"auto": "any_significant"}),
    (
        "35-temporary",
        RFO,
        "a b:M*",
        "a!boom; which",
        "+a +b; -b +a; [a]",
        {"auto": "any_significant"},
    ),
    ("36-never", OFO, "a", "start b:T*; which", "+a; bad_combination; [a]", {}),
    (
        "36-permanent",
        OFO,
        "a",
        "start b:P*; which",
        "+a; bad_combination; [a]",
        {"auto": "any_significant"},
    ),
    (
        "39",
        SIMPLE,
        "t",
        "start a; a!normal; which; count",
        "; +a ok+; +a; [a]; 1/1/0/1",
        {},
    ),
    (
        "40",
        SIMPLE,
        "t=20",
        "start a%refuse; start b; start c%refuse; stop",
        "; +a ok+; +b ok+; +c ok+; #a #c -b end:shutdown r:t r:t ~a ~c",
        {},
    ),
    (
        "41",
        SIMPLE,
        "t",
        "start a; termid a; restart a; delete a; term a; term a; which",
        "; +a ok+; simple_one_for_one; simple_one_for_one; simple_one_for_one; -a ok; ok; []",
        {},
    ),
    ("44", OFO, "b a", "start c; which; b!boom; which", "+b +a; +c ok+; [c a b]; +b; [c a b]", {}),
    ("46", OFO, "a b", "both a b; which", "+a +b; +a +b; [b a]", {"intensity": 2}),
    ("46-counts-2", OFO, "a b", "both a b", "+a +b; +a -a end:shutdown", {"intensity": 1}),
    ("46-one-for-all", OFA, "a b", "both a b; which", "+a +b; r:b +a +b; [b a]", {"intensity": 1}),
]


@pytest.mark.parametrize("how", ["machine", "actors"])
@pytest.mark.parametrize(
    ("strategy", "kids", "steps", "seen", "settings"),
    [pytest.param(*row[1:], id=row[0]) for row in ROWS],
)
def test_a_situation_ends_as_with_otp(
    how: str, strategy: str, kids: str, steps: str, seen: str, settings: dict[str, Any]
) -> None:
    assert play(how, strategy, kids, steps, **settings) == seen
