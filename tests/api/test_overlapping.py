"""Working on one thing while the next is made ready."""

from __future__ import annotations

import pytest

from api.overlapping import overlapped


def test_what_is_worked_on_comes_in_order() -> None:
    assert list(overlapped(range(5), lambda each: each * 10)) == [0, 10, 20, 30, 40]


def test_what_comes_behind_a_failure_is_not_worked_on() -> None:
    worked_on: list[int] = []

    def work(each: int) -> int:
        worked_on.append(each)
        if each == 1:
            raise ConnectionError
        return each

    made = overlapped(range(5), work)

    assert next(made) == 0
    with pytest.raises(ConnectionError):
        list(made)
    assert worked_on == [0, 1]
