"""The log for auditors over HTTP: what other people's tools read there proves what happened."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.log import LogExport
from ledger.audit.findings import Report
from ledger.audit.recording import record
from ledger.exporting.export import Place, export_to_file
from ledger.leaf import leaf_fields, leaf_hash
from ledger.proofs.notes import Checkpoint, EventProof, SigningKey, VerifierKey, opened
from ledger.proofs.sealing import Sealed, seal
from ledger.proofs.signer import Signer, read_keys, write_key
from ledger.proofs.tree import GrowingTree, is_included, whole_root
from orderledger.audit import verify_export
from till import Till

KEY_NAME = "ledger.test/v1/log"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    write_key(tmp_path / "key", SigningKey.make(KEY_NAME))
    return tmp_path / "key"


@pytest.fixture
def verifier(key_file: Path) -> VerifierKey:
    return read_keys(key_file)[0].verifier


def sealed(till: Till, key_file: Path) -> Sealed:
    found = seal(till.front.services.engine, Signer(key_file))
    assert found is not None
    return found


def tile(till: Till, path: str) -> bytes:
    answer = till.get(f"log/tile/{path}")
    assert (answer.status_code, answer.mimetype) == (200, "application/octet-stream"), path
    assert "immutable" in answer.headers["Cache-Control"]
    data: bytes = answer.data
    return data


def split(bundle: bytes) -> list[bytes]:
    found = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        found.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return found


def hashes_of(content: bytes) -> list[bytes]:
    return [content[start : start + 32] for start in range(0, len(content), 32)]


def test_what_is_not_sealed_yet_is_said_to_be_so(till: Till) -> None:
    position = till.recharge().json["position"]

    for path in ("log/checkpoint", f"log/proof/{position}"):
        answer = till.get(path)
        assert (answer.status_code, answer.json["code"]) == (404, "not-sealed")
    assert till.get("log/tile/0/000.p/1").status_code == 404


def test_a_checkpoint_opens_with_the_verifier_key_and_is_not_kept_in_caches(
    till: Till, key_file: Path, verifier: VerifierKey
) -> None:
    till.recharge()
    made = sealed(till, key_file)

    answer = till.get("log/checkpoint")

    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/plain", "private, no-cache")
    assert Checkpoint.parse(opened(answer.text, [verifier])) == Checkpoint(
        origin=KEY_NAME, size=made.size, root=made.root
    )


def test_the_root_is_made_again_from_the_tiles_and_the_tiles_from_the_entries(till: Till, key_file: Path) -> None:
    commands = [
        {"type": "recharge", "customer_id": till.customer_id, "amount": "1.00", "idempotency_key": f"k{number}"}
        for number in range(600)
    ]
    assert till.post("batches", {"atomic": False, "commands": commands}).status_code == 200
    made = sealed(till, key_file)
    rest = made.size % 256

    leaves = hashes_of(tile(till, "0/000") + tile(till, "0/001") + tile(till, f"0/002.p/{rest}"))
    entries = split(
        tile(till, "entries/000") + tile(till, "entries/001") + tile(till, f"entries/002.p/{rest}"),
    )

    tree = GrowingTree()
    for each in leaves:
        tree.add(each)
    assert tree.root() == made.root
    assert [leaf_hash(entry) for entry in entries] == leaves
    assert [leaf_fields(entry)[0] for entry in entries] == [b"%d" % number for number in range(1, made.size + 1)]
    assert hashes_of(tile(till, "1/000.p/2")) == [whole_root(leaves[:256]), whole_root(leaves[256:512])]


@pytest.mark.parametrize(
    "path",
    [
        "0/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/0",
        "0/x000/000.p/1",
        "0/001.p/1",
        "00/000.p/1",
        "64/000.p/1",
        "1/000.p/1",
        "0/x999/x999/x999/x999/999.p/1",
        "0/-01.p/1",
        "0/000.p/1/",
        "entries/000",
        "entries/x001/000.p/1",
    ],
)
def test_a_tile_that_is_not_there_is_not_found(sqlite_till: Till, key_file: Path, path: str) -> None:
    sqlite_till.recharge()
    sealed(sqlite_till, key_file)

    assert sqlite_till.get(f"log/tile/{path}").status_code == 404


def test_a_proof_needs_nothing_but_the_verifier_key(till: Till, key_file: Path, verifier: VerifierKey) -> None:
    position = till.recharge().json["position"]
    for _ in range(5):
        till.deduct("0.10")
    sealed(till, key_file)

    answer = till.get(f"log/proof/{position}")

    assert f"event-{position}.tlog-proof" in answer.headers["Content-Disposition"]
    proof = EventProof.parse(answer.text)
    checkpoint = Checkpoint.parse(opened(proof.note, [verifier]))
    assert proof.index == position - 1
    assert is_included(leaf_hash(proof.extra), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    values = dict(zip(("position", "event_id", "account_id"), leaf_fields(proof.extra), strict=False))
    assert (values["position"], values["account_id"]) == (b"%d" % position, till.customer_id.encode())


def test_a_customer_proves_what_is_theirs_and_sees_nothing_of_others(sqlite_till: Till, key_file: Path) -> None:
    till = sqlite_till
    till.recharge()
    order = till.place().json["position"]
    other = till.front.create("customers", name="李伟")["id"]
    others = till.front.ask("POST", f"customers/{other}/recharges", {"amount": "1.00"}, Idempotency_Key="o").json
    sealed(till, key_file)
    customer = till.as_customer("orders.read", "proofs.read")

    assert customer.ask("GET", f"log/proof/{order}").status_code == 200
    hidden = customer.ask("GET", f"log/proof/{others['position']}")
    absent = customer.ask("GET", "log/proof/999999")
    assert (hidden.status_code, hidden.json["code"]) == (absent.status_code, absent.json["code"])
    assert hidden.json["code"] == "position-not-found"
    # Entries show every customer's events: nobody who is bound to one may have that permission.
    assert customer.ask("GET", "log/tile/entries/000.p/1").status_code == 403
    assert customer.ask("GET", "log/checkpoint").status_code == 200


def test_the_feed_comes_as_cloud_events_on_request(till: Till) -> None:
    till.recharge("7.00")
    plain = till.get("events").json["data"]

    by_header = till.get("events", Accept="application/cloudevents-batch+json")
    by_query = till.get("events?format=cloudevents&after=1")

    assert by_header.mimetype == by_query.mimetype == "application/cloudevents-batch+json"
    found: list[dict[str, Any]] = by_header.json
    assert [each["data"] for each in found] == plain
    assert by_query.json == found[1:]
    for each in found:
        assert (each["specversion"], each["datacontenttype"]) == ("1.0", "application/json")
        assert all(isinstance(value, str) and value for name, value in each.items() if name != "data")
        assert all(name.isalnum() and name.islower() for name in each)
        assert each["id"] == each["data"]["event_id"] and each["sequence"] == str(each["data"]["position"])
    assert till.get("events?format=xml").status_code == 422


def test_the_lag_of_sealing_is_a_figure(sqlite_till: Till, key_file: Path) -> None:
    sqlite_till.recharge()
    before = figures(sqlite_till)
    sealed(sqlite_till, key_file)

    after = figures(sqlite_till)

    assert before["events"] == 2 and before["seconds"] > 0
    assert after == {"events": 0, "seconds": 0}


def figures(till: Till) -> dict[str, float]:
    text = till.front.app.test_client().get("/metrics").text
    lines = [line.split() for line in text.splitlines() if line.startswith("orderledger_sealing_lag_")]
    return {name.removeprefix("orderledger_sealing_lag_"): float(value) for name, value in lines}


def test_the_status_tells_of_checkpoint_lag_and_verification(sqlite_till: Till, key_file: Path) -> None:
    sqlite_till.recharge()
    before = sqlite_till.get("log/status").json
    made = sealed(sqlite_till, key_file)
    sqlite_till.deduct("1.00")
    report = Report(status="tampered", events=3, first_bad_position=2, finding="为什么", checked=(), seconds=1.2)
    record(sqlite_till.front.services.engine, report)

    after = sqlite_till.get("log/status").json

    assert (before["checkpoint"], before["verification"], before["lag_events"]) == (None, None, 2)
    assert (after["checkpoint"]["size"], after["checkpoint"]["note"], after["lag_events"]) == (2, made.note, 1)
    assert after["checkpoint"]["origin"] == KEY_NAME
    wanted = {"status": "tampered", "events": 3, "first_bad_position": 2, "finding": "为什么", "seconds": 2}
    assert {name: value for name, value in after["verification"].items() if name != "finished_at"} == wanted
    assert sqlite_till.as_customer("proofs.read").ask("GET", "log/status").status_code == 403


def test_an_export_is_verified_alone_by_the_file_that_auditors_get(
    till: Till, key_file: Path, verifier: VerifierKey, tmp_path: Path
) -> None:
    till.recharge()
    till.place()
    sealed(till, key_file)
    answer = till.get("log/export")
    (tmp_path / "log.jsonl").write_bytes(answer.data)
    program = verify_export.__file__
    assert program is not None

    command = [sys.executable, "-I", program, str(tmp_path / "log.jsonl"), "--key", str(verifier)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (answer.mimetype, answer.headers["Content-Disposition"]) == (
        "application/x-ndjson",
        'attachment; filename="log-1-3.jsonl"',
    )
    assert (verified.returncode, verified.stdout) == (0, "clean: 3 events; positions 1 to 3 are signed for\n")


@pytest.mark.parametrize("form", ["jsonl", "csv", "beancount"])
def test_an_export_over_http_is_the_one_of_the_command_line(till: Till, tmp_path: Path, form: str) -> None:
    till.recharge()
    for _ in range(4):
        till.deduct("0.10")
    path = tmp_path / "file"
    settings = till.front.services.ledger_settings
    export_to_file(settings, path, format=form, first=Place(position=2), last=Place(position=5))

    sent = till.get(f"log/export?format={form}&from=2&to=5")

    made_at = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
    assert sent.status_code == 200 and sent.headers["Ledger-Position"] == "6"
    wanted = path.read_bytes()
    assert made_at.sub(b"", sent.data) == made_at.sub(b"", wanted)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=9", "export-refused"),
        ("from=2&to=1", "export-refused"),
        ("to=99", "export-refused"),
        ("from=0", "invalid-fields"),
        ("from=x", "invalid-fields"),
        ("format=parquet", "invalid-fields"),
        ("format=xml", "invalid-fields"),
        ("other=1", "invalid-fields"),
    ],
)
def test_a_range_that_is_none_is_refused_and_the_next_export_can_begin(
    sqlite_till: Till, query: str, code: str
) -> None:
    sqlite_till.recharge()

    refused = sqlite_till.get(f"log/export?{query}")

    assert (refused.status_code, refused.json["code"]) == (422, code)
    assert sqlite_till.get("log/export").status_code == 200


def test_one_export_at_a_time_is_made_and_one_that_is_given_up_lets_the_next_begin(sqlite_till: Till) -> None:
    sqlite_till.recharge()
    services = sqlite_till.front.services
    first = LogExport(services, "jsonl", None, None)
    next(first)

    headers = {"Authorization": f"Bearer {sqlite_till.front.secret}"}
    busy = sqlite_till.front.app.test_client().get("/v1/log/export", headers=headers)
    first.close()
    first.close()

    assert (busy.status_code, busy.json["code"]) == (503, "unavailable")
    assert sqlite_till.get("log/export").status_code == 200


def test_an_export_that_is_not_fresh_enough_lets_the_next_begin(sqlite_till: Till) -> None:
    sqlite_till.recharge()
    headers = {"Authorization": f"Bearer {sqlite_till.front.secret}", "Ledger-Min-Position": "99"}

    early = sqlite_till.front.app.test_client().get("/v1/log/export", headers=headers)

    assert (early.status_code, early.json["code"]) == (503, "not-fresh-enough")
    assert sqlite_till.get("log/export").status_code == 200


@pytest.mark.parametrize("form", ["jsonl", "csv", "beancount"])
def test_an_export_that_breaks_off_says_so_in_its_last_line_and_lets_the_next_begin(
    sqlite_till: Till, form: str
) -> None:
    commands = [
        {"type": "recharge", "customer_id": sqlite_till.customer_id, "amount": "1.00", "idempotency_key": f"k{number}"}
        for number in range(3_000)
    ]
    assert sqlite_till.post("batches", {"atomic": False, "commands": commands}).status_code == 200
    with sqlite_till.front.services.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER events_refuse_delete")
        connection.exec_driver_sql("DELETE FROM events WHERE position = 2900")

    answer = sqlite_till.get(f"log/export?format={form}")

    lines = answer.data.splitlines()
    assert len(lines) > 1_000
    assert lines[-1] == b"this export broke off and is not whole: ask for it again"
    assert sqlite_till.get("log/export?to=1000").data.splitlines()[-1].startswith(b'{"trailer":')
