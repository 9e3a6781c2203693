"""The rule by which processes choose the node they write to, without any server."""

from __future__ import annotations

import pytest

from ledger.nodes.choosing import MISSES_MAX, STEADY_LOOKS, Standing, choose
from ledger.nodes.looking import GONE, Fitness, Look, look_of

GALERA = {
    "wsrep_on": "ON",
    "wsrep_ready": "ON",
    "wsrep_cluster_status": "Primary",
    "wsrep_local_state": "4",
    "wsrep_cluster_state_uuid": "abc",
    "read_only": "OFF",
}
FIT = Look(Fitness.FIT, "abc", is_galera=True)
SPARE = Look(Fitness.SPARE, "abc", is_galera=True)


def standing(*looks: Look | None) -> Standing:
    """Return the standing after these looks."""
    found = Standing()
    for look in looks:
        found = found.after(look)
    return found


@pytest.mark.parametrize(
    ("changes", "fitness"),
    [
        ({}, Fitness.FIT),
        ({"wsrep_ready": "OFF"}, Fitness.UNFIT),
        ({"wsrep_cluster_status": "non-Primary"}, Fitness.UNFIT),
        ({"wsrep_local_state": "3"}, Fitness.UNFIT),
        ({"wsrep_local_state": "2"}, Fitness.SPARE),
        ({"read_only": "ON"}, Fitness.UNFIT),
        ({"super_read_only": "ON"}, Fitness.UNFIT),
        ({"wsrep_on": "OFF", "wsrep_ready": "OFF"}, Fitness.FIT),
    ],
)
def test_a_node_is_judged_by_what_it_says(changes: dict[str, str], fitness: Fitness) -> None:
    assert look_of({**GALERA, **changes}).fitness is fitness


def test_the_first_fit_node_is_chosen() -> None:
    assert choose([standing(GONE), standing(FIT), standing(FIT)], None) == 1


def test_nothing_is_chosen_when_no_node_is_fit() -> None:
    assert choose([standing(GONE), standing()], 0) is None


def test_a_node_that_copies_itself_is_used_only_when_there_is_no_other() -> None:
    assert choose([standing(SPARE), standing(FIT)], 0) == 1
    assert choose([standing(SPARE), standing(GONE)], None) == 0


def test_a_node_is_left_only_after_several_answers_are_missing() -> None:
    missing = [None] * MISSES_MAX

    assert choose([standing(FIT, *missing[:-1]), standing(FIT)], 0) == 0
    assert choose([standing(FIT, *missing), standing(FIT)], 0) == 1


def test_a_node_that_comes_back_is_preferred_again_once_it_was_fit_for_a_while() -> None:
    steady = [FIT] * STEADY_LOOKS

    assert choose([standing(GONE, *steady[:-1]), standing(FIT)], 1) == 1
    assert choose([standing(GONE, *steady), standing(FIT)], 1) == 0
    assert choose([standing(*steady, None), standing(FIT)], 1) == 1


def test_two_servers_that_take_writes_and_are_no_cluster_are_both_refused() -> None:
    one, other = Look(Fitness.FIT, "a:3306:1"), Look(Fitness.FIT, "b:3306:2")

    assert choose([standing(one), standing(other)], 0) is None
    assert choose([standing(one), standing(other, *[None] * MISSES_MAX)], 0) == 0


def test_two_names_of_one_server_are_one_node() -> None:
    said = {"hostname": "a", "port": "3306", "server_id": "1", "wsrep_on": "OFF", "read_only": "OFF"}

    assert choose([standing(look_of(said)), standing(look_of(said))], None) == 0
