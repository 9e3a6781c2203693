"""What an auditor and a customer take home from the console proves, elsewhere, what happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from console.conftest import Console, Window
from ledger.leaf import LEAF_FIELDS, leaf_fields, leaf_hash
from ledger.proofs.notes import Checkpoint, EventProof, VerifierKey, opened
from ledger.proofs.tree import is_included

Open = Callable[..., Window]
VERIFIED_MS = 60_000


def downloaded(page: Page, selector: str) -> str:
    """Click, and return what is saved."""
    with page.expect_download() as saving:
        page.click(selector)
    return Path(saving.value.path()).read_text("utf-8")


def proven(text: str, key: VerifierKey) -> dict[str, str]:
    """Return the event that a proof proves."""
    proof = EventProof.parse(text)
    checkpoint = Checkpoint.parse(opened(proof.note, [key]))
    assert is_included(leaf_hash(proof.extra), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    values = zip(LEAF_FIELDS, leaf_fields(proof.extra), strict=True)
    return {name: "" if value is None else value.decode("utf-8", "replace") for name, value in values}


def test_an_auditor_sees_that_the_log_is_sealed_and_verified_and_takes_proofs_home(
    console: Console, window: Open
) -> None:
    customer = console.admin.post("/v1/customers", {"name": "证人 Witness"}).body["id"]
    recharged = console.admin.post(f"/v1/customers/{customer}/recharges", {"amount": "8.88"}, key="proof-1").body
    position = recharged["position"]
    console.service.wait_until(lambda: console.admin.get("/v1/log/status").body["lag_events"] == 0)
    auditor = window()
    page = auditor.log_in("auditor")
    expect(page.locator("#standing")).to_contain_text("Verification")

    auditor.go("/proofs")
    expect(page.locator("#note")).to_contain_text("ledger.test/v1/log")
    expect(page.locator("#standing")).to_contain_text("clean", timeout=VERIFIED_MS)
    checkpoint = Checkpoint.parse(opened(downloaded(page, "#download"), [console.verifier]))
    page.fill("#proof [name=position]", str(position))
    event = proven(downloaded(page, "#proof button"), console.verifier)
    auditor.go(f"/events/{position}")
    again = proven(downloaded(page, "text=Download the proof"), console.verifier)

    assert checkpoint.size >= position
    assert event == again and (event["position"], event["account_id"]) == (str(position), customer)
    assert '"amount_minor":888' in event["data"]


def test_a_proof_that_is_not_there_is_said_and_not_saved(console: Console, window: Open) -> None:
    auditor = window()
    page = auditor.log_in("auditor")
    auditor.go("/proofs")

    page.fill("#proof [name=position]", "999999999")
    page.click("#proof button")

    expect(page.locator("#said")).to_contain_text("no event at position 999999999")


def test_what_a_proxy_answers_instead_of_a_proof_is_said_and_not_saved(console: Console, window: Open) -> None:
    auditor = window()
    page = auditor.log_in("auditor")
    auditor.go("/proofs")

    page.route("**/v1/log/*", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    page.click("#download")

    expect(page.locator("#said")).to_contain_text("Not the service answered")


def test_a_customer_takes_the_proof_of_an_own_order_home(console: Console, window: Open) -> None:
    admin = console.admin
    customer = admin.post("/v1/customers", {"name": "林一"}).body["id"]
    admin.post(f"/v1/customers/{customer}/recharges", {"amount": "5.00"}, key="proof-2")
    executor = {"executor": "simulated", "executor_settings": {"delay_s": 0}}
    admin.post("/v1/products", {"sku": "proof", "name": "Proof", "unit_price": "1.00", **executor})
    body = {"customer_id": customer, "product": "proof", "quantity": 2}
    order = admin.post("/v1/orders", body, key="proof-3").body["order"]["id"]
    console.user("witness", "customer", customer_id=customer)
    mine = window()
    page = mine.log_in("witness")

    mine.go(f"/orders/{order}")
    expect(page.locator("#timeline")).to_contain_text("order placed")
    console.service.wait_until(lambda: admin.get("/v1/log/status").body["lag_events"] == 0)
    event = proven(downloaded(page, "#timeline li:first-child button"), console.verifier)

    assert (event["order_id"], event["type"], event["account_id"]) == (order, "order.placed", customer)


def test_an_auditor_takes_the_whole_log_home(console: Console, window: Open) -> None:
    customer = console.admin.post("/v1/customers", {"name": "出口 Export"}).body["id"]
    assert console.admin.post(f"/v1/customers/{customer}/recharges", {"amount": "1.00"}, key="proof-4").status == 201
    auditor = window()
    page = auditor.log_in("auditor")
    auditor.go("/proofs")

    lines = downloaded(page, "#export button").splitlines()
    expect(page.locator("#said")).to_contain_text("The export is saved.")
    page.fill("#export [name=from]", "999999999")
    page.click("#export button")
    expect(page.locator("#said")).to_contain_text("the log ends at position")

    trailer = json.loads(lines[-1])["trailer"]
    assert trailer["events"] == trailer["to"] >= 2
    assert any(customer in line for line in lines)
