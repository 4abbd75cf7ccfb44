"""The cases of OTP's own suite of supervisors that have a meaning here, by their numbers.

Left out are those about code upgrade, log formatting and Erlang's internals. What needs more than
a line is in `test_otp_suite_actors.py`.
"""

from typing import Any

import pytest

from tests.unit.supervision.play import play

OFO, OFA, RFO, SIMPLE = "one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"
ANY, ALL = {"auto": "any_significant"}, {"auto": "all_significant"}
LOOP: dict[str, Any] = {"intensity": 10**9}
Case = tuple[str, str, str, str, str, dict[str, Any]]

CASES: list[Case] = [
    ("1", OFO, "", "stop", "; end:shutdown", {}),
    (
        "3",
        OFO,
        "b",
        "start a/i; which; count",
        "+b; ?a ok; [a- b]; 2/1/0/2",
        {},
    ),
    ("4", OFO, "a:M/i b", "which; count", "?a +b; [b]; 1/1/0/1", {}),
    ("5", OFO, "b", "start a:M/i; which; count", "+b; ?a ok; [b]; 1/1/0/1", {}),
    ("6", SIMPLE, "t:M", "start a/i; which; count", "; ?a ok; []; 1/0/0/0", {}),
    ("7", SIMPLE, "t", "start a/i; which; stop", "; ?a ok; []; end:shutdown", {}),
    ("10", OFO, "b", "start a/e; which", "+b; !a start_failed; [b]", {}),
    (
        "11",
        OFO,
        "b a/oe",
        "term a; restart a; which",
        "+b +a; -a ok; !a start_failed; [a- b]",
        {},
    ),
    ("12", SIMPLE, "t", "start a/e; which; count", "; !a start_failed; []; 1/0/0/0", {}),
    ("16", OFO, "a=inf b=inf", "stop", "+a +b; -b -a end:shutdown", {}),
    ("17", OFO, "a b%refuse=1000", "stop", "+a +b; ~b #b r:b -a end:shutdown", {}),
    (
        "18",
        SIMPLE,
        "t=1000",
        "start a; start b%refuse; stop",
        "; +a ok+; +b ok+; #b -a end:shutdown r:t ~b",
        {},
    ),
    ("19", OFO, "a b=kill", "stop", "+a +b; #b -a end:shutdown", {}),
    (
        "20",
        SIMPLE,
        "t=kill",
        "; ".join(f"start {name}" for name in "abcdefghij") + "; stop",
        "; "
        + "; ".join(f"+{name} ok+" for name in "abcdefghij")
        + "; "
        + " ".join(f"#{name}" for name in "abcdefghij")
        + " end:shutdown",
        {},
    ),
    (
        "22",
        SIMPLE,
        "t:M",
        "start a%boom; start b%normal; start c%x; start d; stop",
        "; +a ok+; +b ok+; +c ok+; +d ok+; -a:boom -b:normal -c:x -d end:shutdown r:t",
        {},
    ),
    (
        "23",
        OFO,
        "a",
        (
            "which; count; restart a; delete a; term a; term a; which; restart a; term a; delete a;"
            " delete a; restart a; term a; which; start a; start a; term a; start a; which; count"
        ),
        (
            "+a; [a]; 1/1/0/1; running; running; -a ok; ok; [a-]; +a ok+; -a ok; ok;"
            " not_found; not_found; not_found; []; +a ok+; already_started; -a ok; already_present;"
            " [a-]; 1/0/0/1"
        ),
        {},
    ),
    (
        "24",
        SIMPLE,
        "t",
        (
            "which; start a; which; count; restart a; delete a; termid a; term a; term a; which;"
            " count; start b; start c; count; term c; which"
        ),
        (
            "; []; +a ok+; [a]; 1/1/0/1; simple_one_for_one; simple_one_for_one;"
            " simple_one_for_one;"
            " -a ok; ok; []; 1/0/0/0; +b ok+; +c ok+; 1/2/0/2; -c ok; [b]"
        ),
        {},
    ),
    (
        "29",
        OFO,
        "a",
        "a!boom; at 5.1; a!boom; at 10.2; a!boom; at 15.3; a!boom; which",
        "+a; +a; ; +a; ; +a; ; +a; [a]",
        {"intensity": 1},
    ),
    (
        "30",
        OFO,
        "a b",
        "a!boom; a!boom; which; a!boom",
        "+a +b; +a; +a; [b a]; -b end:shutdown",
        {"intensity": 2},
    ),
    ("31", OFO, "a/oe b", "a!boom", "+a +b; !a !a !a !a -b end:shutdown", {"intensity": 4}),
    (
        "32",
        OFA,
        "a b",
        "a!boom; a!boom; which; a!boom",
        "+a +b; -b +a +b; -b +a +b; [b a]; -b end:shutdown",
        {"intensity": 2},
    ),
    (
        "33",
        OFA,
        "a b/oe",
        "a!boom",
        "+a +b; -b +a !b -a +a !b -a end:shutdown",
        {"intensity": 2},
    ),
    ("34", OFA, "a b/oeo", "a!boom; which", "+a +b; -b +a !b -a +a +b; [b a]", {}),
    (
        "35",
        SIMPLE,
        "t",
        "start a; start b; a!boom; a!boom; which; a!boom",
        "; +a ok+; +b ok+; +a; +a; [a b]; -b end:shutdown",
        {"intensity": 2},
    ),
    (
        "38",
        SIMPLE,
        "t",
        "start a/oe; start b; a!boom",
        "; +a ok+; +b ok+; !a !a !a !a -b end:shutdown",
        {"intensity": 4},
    ),
    (
        "40",
        RFO,
        "a b c",
        "b!boom; a!boom; which; b!boom",
        "+a +b +c; -c +b +c; -c -b +a +b +c; [c b a]; -c -a end:shutdown",
        {"intensity": 2},
    ),
    (
        "41",
        RFO,
        "a b/oe",
        "a!boom",
        "+a +b; -b +a !b !b !b -a end:shutdown",
        {"intensity": 3},
    ),
    (
        "42",
        RFO,
        "a b/oeo c",
        "a!boom; which",
        "+a +b +c; -c -b +a !b +b +c; [c b a]",
        {},
    ),
    ("43", OFO, "a", "a!normal; which; count", "+a; +a; [a]; 1/1/0/1", {}),
    ("44", OFO, "a:T", "a!normal; which; count", "+a; ; [a-]; 1/0/0/1", {}),
    ("45", OFO, "a:M", "a!normal; which; count", "+a; ; []; 0/0/0/0", {}),
    ("46", OFO, "a", "a!shutdown; a!x; which; count", "+a; +a; +a; [a]; 1/1/0/1", {}),
    ("47", OFO, "a:T b:T", "a!shutdown; b!x; which", "+a +b; ; ; [b- a-]", {}),
    ("48", OFO, "a:M b:M", "a!shutdown; b!x; which", "+a +b; ; ; []", {}),
    ("50", OFO, "a", "a!boom; which; count", "+a; +a; [a]; 1/1/0/1", {}),
    ("51", OFO, "a:T", "a!boom; which; count", "+a; +a; [a]; 1/1/0/1", {}),
    ("52", OFO, "a:M", "a!boom; which; count", "+a; ; []; 0/0/0/0", {}),
    *(
        (
            f"55-{auto}",
            OFO,
            "a:M b:M c:M d:M e",
            "a!normal; b!shutdown; c!boom; d!kill; which",
            "+a +b +c +d +e; ; ; ; #d; [e]",
            {"auto": auto},
        )
        for auto in ("never", "any_significant", "all_significant")
    ),
    *(
        (
            f"56-{auto}",
            OFO,
            "a:T b:T c:T d:T e",
            "a!normal; b!shutdown; c!boom; d!kill; which",
            "+a +b +c +d +e; ; ; +c; #d +d; [e d c b- a-]",
            {"auto": auto},
        )
        for auto in ("never", "any_significant", "all_significant")
    ),
    ("57-terminated", OFO, "a:M* b", "term a; which", "+a +b; -a ok; [b]", ANY),
    ("57-killed", OFO, "a:M* b", "a!kill", "+a +b; #a -b end:shutdown", ANY),
    ("57-crashed", OFO, "a:M* b", "a!boom", "+a +b; -b end:shutdown", ANY),
    ("57-normal", OFO, "a:M* b", "a!normal", "+a +b; -b end:shutdown", ANY),
    (
        "57-all",
        OFO,
        "a:M* b:M* c:M* d",
        "term a; b!boom; which; c!normal",
        "+a +b +c +d; -a ok; ; [d c]; -d end:shutdown",
        ALL,
    ),
    ("58-terminated", OFO, "a:T* b", "term a; which", "+a +b; -a ok; [b a-]", ANY),
    ("58-killed", OFO, "a:T* b", "a!kill; which", "+a +b; #a +a; [b a]", ANY),
    ("58-crashed", OFO, "a:T* b", "a!boom; which", "+a +b; +a; [b a]", ANY),
    ("58-shutdown", OFO, "a:T* b", "a!x", "+a +b; -b end:shutdown", ANY),
    (
        "58-all",
        OFO,
        "a:T* b:T* c",
        "a!normal; b!boom; which; b!shutdown",
        "+a +b +c; ; +b; [c b a-]; -c end:shutdown",
        ALL,
    ),
    (
        "59-any",
        SIMPLE,
        "t:M*",
        "start a; start b; term a; b!normal",
        "; +a ok+; +b ok+; -a ok; end:shutdown",
        ANY,
    ),
    (
        "59-any-others",
        SIMPLE,
        "t:T*",
        "start a; start b; a!boom; a!normal",
        "; +a ok+; +b ok+; +a; -b end:shutdown",
        ANY,
    ),
    (
        "59-all",
        SIMPLE,
        "t:M*",
        "start a; start b; a!boom; which; b!normal",
        "; +a ok+; +b ok+; ; [b]; end:shutdown",
        ALL,
    ),
    *(
        (f"60-{strategy}-{auto}", strategy, "a b:T*", "a!boom; which", seen, {"auto": auto})
        for strategy, seen in (
            (OFO, "+a +b; +a; [b a]"),
            (OFA, "+a +b; -b +a +b; [b a]"),
            (RFO, "+a +b; -b +a +b; [b a]"),
        )
        for auto in ("any_significant", "all_significant")
    ),
    (
        "60-temporary",
        OFA,
        "a b:M*",
        "a!boom; which",
        "+a +b; -b +a; [a]",
        ALL,
    ),
    (
        "71",
        OFO,
        "a/oe B/oe c",
        "both a B; count; term a; count",
        "+a +B +c; ; 3/1/1/2; ok; 3/1/1/2",
        {**LOOP, "without": "!a !B"},
    ),
    (
        "71-simple",
        SIMPLE,
        "t",
        "start a/oe; start b; a!boom; count; term a; count",
        "; +a ok+; +b ok+; ; 1/1/0/2; ok; 1/1/0/1",
        {**LOOP, "without": "!a"},
    ),
    *(
        (
            f"74-{strategy}-{name}",
            strategy,
            "a:P b:T c:M",
            step,
            seen,
            {},
        )
        for strategy, name, step, seen in (
            (OFO, "normal", "c!normal; b!normal; which", "+a +b +c; ; ; [b- a]"),
            (OFA, "normal", "c!normal; b!normal; which", "+a +b +c; ; ; [b- a]"),
            (RFO, "normal", "c!normal; b!normal; which", "+a +b +c; ; ; [b- a]"),
            (OFO, "abnormal", "c!boom; which", "+a +b +c; ; [b a]"),
            (OFA, "abnormal", "c!boom; which", "+a +b +c; ; [b a]"),
            (RFO, "abnormal", "c!boom; which", "+a +b +c; ; [b a]"),
            (OFO, "killed", "c!kill; b!kill; which", "+a +b +c; #c; #b +b; [b a]"),
            (OFA, "killed", "b!kill; which", "+a +b +c; #b -c -a +a +b; [b a]"),
            (RFO, "killed", "b!kill; which", "+a +b +c; #b -c +b; [b a]"),
            (
                OFO,
                "terminated",
                "term c; term b; term a; which",
                "+a +b +c; -c ok; -b ok; -a ok; [b- a-]",
            ),
            (
                OFA,
                "terminated",
                "term c; term b; term a; which",
                "+a +b +c; -c ok; -b ok; -a ok; [b- a-]",
            ),
            (
                RFO,
                "terminated",
                "term c; term b; term a; which",
                "+a +b +c; -c ok; -b ok; -a ok; [b- a-]",
            ),
        )
    ),
    ("76-all", OFA, "a b:M", "a!boom; which", "+a +b; -b +a; [a]", {}),
    ("76-rest", RFO, "a b:M", "a!boom; which", "+a +b; -b +a; [a]", {}),
    (
        "78",
        OFO,
        "a/oe b",
        "a!boom; restart a; delete a; start a; which; count; term a; restart a; which; stop",
        (
            "+a +b; ; restarting; restarting; already_present; [b a?]; 2/1/0/2; ok; start_failed;"
            " [b a-]; -b end:shutdown"
        ),
        {**LOOP, "without": "!a"},
    ),
    (
        "78-stop",
        OFO,
        "a/oe b",
        "a!boom; stop",
        "+a +b; ; -b end:shutdown",
        {**LOOP, "without": "!a"},
    ),
    (
        "79",
        RFO,
        "b a/oe c",
        "a!boom; restart a; delete a; start a; which; term a; which; stop",
        (
            "+b +a +c; -c; restarting; restarting; already_present; [c- a? b]; ok; [c- a- b];"
            " -b end:shutdown"
        ),
        {**LOOP, "without": "!a"},
    ),
    (
        "80",
        SIMPLE,
        "t",
        "start a/oe; start b; a!boom; count; term a; which; stop",
        "; +a ok+; +b ok+; ; 1/1/0/2; ok; [b]; -b end:shutdown",
        {**LOOP, "without": "!a"},
    ),
    (
        "85",
        OFA,
        "d a e c b",
        "e!boom; stop",
        "+d +a +e +c +b; -b -c -a -d +d +a +e +c +b; -b -c -e -a -d end:shutdown",
        {},
    ),
]


@pytest.mark.parametrize("how", ["machine", "actors"])
@pytest.mark.parametrize(
    ("strategy", "kids", "steps", "seen", "settings"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_a_case_ends_as_with_otp(
    how: str, strategy: str, kids: str, steps: str, seen: str, settings: dict[str, Any]
) -> None:
    assert play(how, strategy, kids, steps, **settings) == seen
