"""Page tokens lead back to their place, and nobody else's."""

import pytest
from hypothesis import given
from hypothesis.strategies import integers, text

from taskmaster.api.paging import Pager
from taskmaster.api.problems import ProblemError


@given(text(), integers(0, 2**63 - 1), text())
def test_a_token_leads_back_to_its_place(of: str, position: int, name: str) -> None:
    pager = Pager(b"secret")

    place = pager.place(of, pager.token(of, position=position, name=name))

    assert (place.position, place.name) == (position, name)


@given(text())
def test_what_is_no_token_is_stale(token: str) -> None:
    with pytest.raises(ProblemError) as raised:
        Pager(b"secret").place("tasks", token)

    assert raised.value.problem.status == 400


def test_a_token_is_good_for_its_list_and_its_process_only() -> None:
    token = Pager(b"secret").token("tasks", position=5)

    for pager, of in ((Pager(b"secret"), "gates"), (Pager(b"other"), "tasks")):
        with pytest.raises(ProblemError):
            pager.place(of, token)
