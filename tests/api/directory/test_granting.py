"""Nobody gives away permissions that he does not have, and amounts are worded in the account's own currency."""

from directory_front import Front


def test_a_role_cannot_be_used_to_get_more_than_one_has(sqlite_front: Front) -> None:
    own = ["api_keys.write", "levels.read", "roles.read", "roles.write"]
    role = sqlite_front.create("roles", name="clerk", permissions=own)
    clerk = Front(sqlite_front.app, sqlite_front.services, sqlite_front.create("api-keys", role="clerk")["key"])

    assert clerk.ask("POST", "api-keys", {"name": "mine", "role": "admin"}).status_code == 403
    assert clerk.ask("POST", "roles", {"name": "more", "permissions": ["recharges.post"]}).status_code == 403
    wider = {"permissions": [*own, "recharges.post"]}
    assert clerk.ask("PATCH", f"roles/{role['id']}", wider).status_code == 403
    assert sqlite_front.read("roles", role["id"])["permissions"] == own
    assert clerk.ask("POST", "api-keys", {"name": "mine", "role": "clerk"}).status_code == 201


def test_nobody_lets_an_ended_key_live_again_that_may_do_more_than_he(sqlite_front: Front) -> None:
    sqlite_front.create("roles", name="clerk", permissions=["api_keys.write"])
    clerk = Front(sqlite_front.app, sqlite_front.services, sqlite_front.create("api-keys", role="clerk")["key"])
    wider, own = sqlite_front.create("api-keys", role="admin"), sqlite_front.create("api-keys", role="clerk")
    leaked = Front(sqlite_front.app, sqlite_front.services, wider["key"])
    assert clerk.ask("PATCH", f"api-keys/{wider['id']}", {"active": True, "name": "till 2"}).status_code == 200
    for each in (wider, own):
        assert clerk.ask("PATCH", f"api-keys/{each['id']}", {"active": False}).status_code == 200
    assert leaked.ask("GET", "me").status_code == 401

    refused = clerk.ask("PATCH", f"api-keys/{wider['id']}", {"active": True, "name": "mine"})
    as_wide = clerk.ask("PATCH", f"api-keys/{own['id']}", {"active": True})
    absent = clerk.ask("PATCH", "api-keys/key_absent", {"active": True})

    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert (as_wide.status_code, absent.status_code) == (200, 404)
    assert leaked.ask("GET", "me").status_code == 401
    assert sqlite_front.ask("PATCH", f"api-keys/{wider['id']}", {"active": True}).status_code == 200
    assert leaked.ask("GET", "me").status_code == 200


def test_a_refusal_words_amounts_in_the_accounts_currency(sqlite_front: Front) -> None:
    customer_id = sqlite_front.create("customers", currency="JPY", credit_limit="50")["id"]
    deductions = f"customers/{customer_id}/deductions"
    assert sqlite_front.ask("POST", deductions, {"amount": "40"}, Idempotency_Key="k1").status_code == 201

    lower = sqlite_front.ask("PATCH", f"customers/{customer_id}", {"credit_limit": "39"})
    more = sqlite_front.ask("POST", deductions, {"amount": "11"}, Idempotency_Key="k2")

    assert (lower.status_code, lower.json["used"], lower.json["currency"]) == (409, "40", "JPY")
    assert (more.status_code, more.json["needed"], more.json["spendable"]) == (409, "11", "10")
