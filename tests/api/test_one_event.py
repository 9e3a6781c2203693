"""One event, whole: its envelope, its erasable text, and its neighbours in the account."""

from __future__ import annotations

from till import Till, new_key


def test_an_event_comes_whole_and_leads_to_its_neighbours(till: Till) -> None:
    first = till.recharge("1.00", memo="cash")
    other = till.front.create("customers")["id"]
    till.front.ask("POST", f"customers/{other}/recharges", {"amount": "5.00"}, Idempotency_Key=new_key())
    second = till.deduct("0.50")
    position, following = first.json["position"], second.json["position"]
    assert following > position + 1

    event = till.get(f"events/{position}").json

    assert event["details"] == {"memo": "cash"}
    assert event["next_in_account"] == following
    assert till.get(f"events/{following}").json["previous_in_account"] == position
    assert till.get(f"events/{following}").json["next_in_account"] is None
    opened = till.get(f"events/{event['previous_in_account']}").json
    assert (opened["type"], opened["previous_in_account"], opened["details"]) == ("account.opened", None, None)
    (listed,) = till.get(f"events?after={position - 1}&limit=1").json["data"]
    assert listed.items() <= event.items()


def test_what_is_not_there_and_what_is_anothers_are_answered_alike(sqlite_till: Till) -> None:
    position = sqlite_till.recharge("1.00").json["position"]
    other = sqlite_till.front.bound_to(sqlite_till.front.create("customers")["id"], "events.read")

    answers = [other.ask("GET", f"events/{each}") for each in (position, 999_999)]

    assert {each.status_code for each in answers} == {404}
    assert len({each.json["code"] for each in answers}) == 1
    assert sqlite_till.as_customer("events.read").ask("GET", f"events/{position}").status_code == 200
