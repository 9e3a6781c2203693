"""An outsider with one file and a key finds out whether an export is the log that was signed for."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import random
import string
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.exporting.jsonl import FORMAT
from ledger.leaf import LEAF_FIELDS, leaf_bytes, leaf_hash
from ledger.proofs.notes import Checkpoint, SigningKey, VerifierKey, signed, unopened
from ledger.proofs.signer import read_keys
from ledger.proofs.tree import GrowingTree
from orderledger.audit import verify_export
from sealed_books import NAME, Auditor, Books, lines_of, write_lines

CLEAN, TAMPERED, CANNOT_TELL = 0, 1, 2
LONG_AFTER = 10**16


def events_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "position" in line]


def at(lines: list[dict[str, Any]], position: int) -> int:
    """Return the line of an event."""
    return next(index for index, line in enumerate(lines) if line.get("position") == position)


def rehash(event: dict[str, Any]) -> None:
    values = [event[name] for name in LEAF_FIELDS]
    for index in (1, 14):
        values[index] = None if values[index] is None else bytes.fromhex(values[index])
    for index in (8, 15, 16):
        values[index] = values[index].encode()
    event["leaf_hash"] = leaf_hash(leaf_bytes(*values)).hex()


def reseal(lines: list[dict[str, Any]], sign: Callable[[Checkpoint], str] | None = None) -> list[dict[str, Any]]:
    """Do what a forger can: hashes, checkpoints (when there is a key to sign with) and trailer made anew."""
    tree, trailer = GrowingTree(), lines[-1]["trailer"]
    sums: dict[str, Counter[str]] = {}
    for line in lines[1:-1]:
        if "position" in line:
            rehash(line)
            tree.add(bytes.fromhex(line["leaf_hash"]))
            for leg in json.loads(line["postings"]):
                sums.setdefault(leg["account"], Counter())[leg["currency"]] += leg["amount_minor"]
        elif sign is not None:
            line["checkpoint"] = sign(Checkpoint(origin=NAME, size=tree.size, root=tree.root()))
    events = events_of(lines)
    trailer |= {
        "to": tree.size,
        "events": len(events),
        "types": Counter(each["type"] for each in events),
        "postings": sums,
        "root": tree.root().hex(),
    }
    lines[0] |= {"to": tree.size}
    return lines


def test_the_program_is_one_file_that_imports_the_standard_library_and_cryptography_only(auditor: Auditor) -> None:
    source = (auditor.folder / "verify_export.py").read_text("utf-8")
    assert source == Path(verify_export.__file__).read_text("utf-8") and len(source.splitlines()) < 350

    imported = {
        name
        for node in ast.walk(ast.parse(source))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == {"cryptography"}
    for ours in ("ledger", "orderledger", "msgspec"):
        assert "ModuleNotFoundError" in auditor.run(f"import {ours}").stderr


def test_it_knows_the_format_and_the_leafs_fields_as_they_are() -> None:
    assert verify_export.FORMAT == FORMAT
    assert verify_export.LEAF_FIELDS == LEAF_FIELDS


def test_a_clean_export_is_clean_and_says_what_is_signed_for(books: Books, auditor: Auditor) -> None:
    size, head = books.sealed[-1].size, len(books.rows())

    verdict = auditor.verify(books.export("all.jsonl"), "--key", books.key)

    assert verdict.code == CLEAN
    assert f"{head} events" in verdict.words
    assert f"positions 1 to {size} are signed for" in verdict.words
    assert f"{size + 1} to {head} came after" in verdict.words


def test_every_range_that_a_later_checkpoint_covers_is_signed_for_to_its_end(
    sqlite_books: Books, auditor: Auditor
) -> None:
    first, second = (each.size for each in sqlite_books.sealed)
    (sqlite_books.folder / "key.pub").write_text(sqlite_books.key + "\n")

    for start, end in (
        (1, 1),
        (1, 2),
        (2, 2),
        (7, 40),
        (first, first + 1),
        (first + 1, second),
        (2, second - 1),
        (5, first),
    ):
        export = sqlite_books.export(f"{start}-{end}.jsonl", start, end)
        verdict = auditor.verify(export, "--key", str(sqlite_books.folder / "key.pub"))
        assert (verdict.code, verdict.words) == (
            CLEAN,
            f"clean: {end - start + 1} events; positions {start} to {end} are signed for",
        )


def test_what_no_checkpoint_covers_is_never_called_clean(sqlite_books: Books, auditor: Auditor) -> None:
    after = sqlite_books.sealed[-1].size + 1

    unsealed = auditor.verify(sqlite_books.export("tail.jsonl", after), "--key", sqlite_books.key)
    keyless = auditor.verify(sqlite_books.export("all.jsonl"))

    assert unsealed.code == CANNOT_TELL and "no signed checkpoint covers" in unsealed.words
    assert keyless.code == CANNOT_TELL and "--key" in keyless.words


def test_each_field_of_a_line_that_is_changed_is_found_where_it_is(sqlite_books: Books, auditor: Auditor) -> None:
    original = sqlite_books.export("all.jsonl")
    position = next(each["position"] for each in events_of(lines_of(original)) if each["type"] == "order.completed")

    for name in (*LEAF_FIELDS, "leaf_hash"):
        lines = lines_of(original)
        event = lines[at(lines, position)]
        value = event[name]
        event[name] = (
            value + 1
            if isinstance(value, int)
            else "0" + value[1:]
            if value and value[0] != "0"
            else "f" + (value or "0")[1:]
        )
        assert event[name] != value
        verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)
        assert verdict.code == TAMPERED, name
        assert verdict.words.startswith(f"tampered: position {position}: "), (name, verdict.words)


def deleted(lines: list[dict[str, Any]], index: int) -> int:
    del lines[index]
    return 0


def doubled(lines: list[dict[str, Any]], index: int) -> int:
    lines.insert(index, lines[index])
    return 1


def swapped(lines: list[dict[str, Any]], index: int) -> int:
    lines[index], lines[index + 1] = lines[index + 1], lines[index]
    return 0


def inserted(lines: list[dict[str, Any]], index: int) -> int:
    event = lines[index] | {"event_id": "0" * 32}
    rehash(event)
    lines.insert(index + 1, event)
    return 1


@pytest.mark.parametrize("change", [deleted, doubled, swapped, inserted])
def test_lines_that_are_missing_doubled_swapped_or_added_are_found(
    sqlite_books: Books, auditor: Auditor, change: Callable[[list[dict[str, Any]], int], int]
) -> None:
    lines = lines_of(sqlite_books.export("all.jsonl"))
    position = 10

    position += change(lines, at(lines, position))

    verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)
    assert verdict.code == TAMPERED
    assert verdict.words.startswith(f"tampered: position {position}: this position is missing")


def test_a_file_that_was_cut_anywhere_is_never_called_clean(sqlite_books: Books, auditor: Auditor) -> None:
    whole = sqlite_books.export("all.jsonl").read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == 10]
    file = sqlite_books.folder / "cut.jsonl"

    for length in (0, 1, ends[0] - 1, ends[0], ends[0] + 30, ends[20], ends[20] + 200, ends[-2], ends[-1] - 1):
        file.write_bytes(whole[:length])
        verdict = auditor.verify(file, "--key", sqlite_books.key)
        assert verdict.code == CANNOT_TELL, (length, verdict)


def change_amounts(lines: list[dict[str, Any]]) -> int:
    """Make a recharge ten minor units larger, in everything that follows from it; return its position."""
    recharge = next(each for each in events_of(lines) if each["type"] == "recharge.posted")
    position, account = recharge["position"], recharge["account_id"]
    amount = json.loads(recharge["data"])["amount_minor"]
    for name in ("data", "postings"):
        recharge[name] = recharge[name].replace(str(amount), str(amount + 10))
    for each in events_of(lines):
        if each["account_id"] == account and each["position"] >= position:
            each["available_minor"] += 10
    return int(position)


def test_a_history_rewritten_with_new_hashes_is_caught_by_the_signature(books: Books, auditor: Auditor) -> None:
    lines = lines_of(books.export("all.jsonl"))
    assert change_amounts(lines) <= books.sealed[0].size
    forged = write_lines(books.folder / "forged.jsonl", reseal(lines))

    verdict = auditor.verify(forged, "--key", books.key)

    assert verdict.code == TAMPERED
    assert verdict.words == (
        f"tampered: position 1: an event from here to {books.sealed[0].size} is not the one that was signed for"
    )


def test_a_change_after_the_first_checkpoint_is_placed_after_it(sqlite_books: Books, auditor: Auditor) -> None:
    first, second = (each.size for each in sqlite_books.sealed)
    lines = lines_of(sqlite_books.export("all.jsonl"))
    lines[at(lines, first + 3)]["actor"] = "key:somebody"
    forged = write_lines(sqlite_books.folder / "forged.jsonl", reseal(lines))

    verdict = auditor.verify(forged, "--key", sqlite_books.key)

    assert verdict.code == TAMPERED
    assert verdict.words.startswith(f"tampered: position {first + 1}: an event from here to {second} is not")


def test_a_rewritten_history_signed_with_another_key_is_not_believed(sqlite_books: Books, auditor: Auditor) -> None:
    forger = SigningKey.make(NAME)
    lines = lines_of(sqlite_books.export("all.jsonl"))
    change_amounts(lines)
    forged = reseal(lines, lambda checkpoint: signed(checkpoint.text(), [forger]))
    file = write_lines(sqlite_books.folder / "forged.jsonl", forged)

    by_forger = auditor.verify(file, "--key", str(forger.verifier))
    verdict = auditor.verify(file, "--key", sqlite_books.key)

    assert by_forger.code == CLEAN, "the forgery is perfect but for its key"
    assert verdict.code == TAMPERED and "signed by none of the keys" in verdict.words


def test_a_signature_that_names_the_key_but_is_not_its_own_is_found(sqlite_books: Books, auditor: Auditor) -> None:
    def sign(checkpoint: Checkpoint) -> str:
        # The real signature of the real text, under another text.
        (_, _, signatures) = sqlite_books.sealed[0].note.rpartition("\n\n")
        return f"{checkpoint.text()}\n{signatures}"

    lines = lines_of(sqlite_books.export("all.jsonl"))
    change_amounts(lines)
    file = write_lines(sqlite_books.folder / "forged.jsonl", reseal(lines, sign))

    verdict = auditor.verify(file, "--key", sqlite_books.key)

    assert verdict.code == TAMPERED and "not of its text" in verdict.words


def test_a_checkpoint_of_another_size_than_its_root_is_found(sqlite_books: Books, auditor: Auditor) -> None:
    keys = read_keys(sqlite_books.folder / "key")

    def sign(checkpoint: Checkpoint) -> str:
        return signed(dataclasses.replace(checkpoint, size=checkpoint.size - 1).text(), keys)

    lines = reseal(lines_of(sqlite_books.export("all.jsonl")), sign)

    verdict = auditor.verify(write_lines(sqlite_books.folder / "forged.jsonl", lines), "--key", sqlite_books.key)

    assert verdict.code == TAMPERED


def test_a_forged_end_without_checkpoints_is_not_signed_for(sqlite_books: Books, auditor: Auditor) -> None:
    size = sqlite_books.sealed[-1].size
    lines = lines_of(sqlite_books.export("all.jsonl"))
    lines[at(lines, size + 1)]["actor"] = "key:somebody"

    verdict = auditor.verify(
        write_lines(sqlite_books.folder / "forged.jsonl", reseal(lines)), "--key", sqlite_books.key
    )

    assert verdict.code == CLEAN
    assert f"positions 1 to {size} are signed for; {size + 1} to" in verdict.words


def test_money_that_does_not_add_up_is_found_even_before_a_checkpoint(sqlite_books: Books, auditor: Auditor) -> None:
    recharge = next(row for row in sqlite_books.rows() if row["type"] == "recharge.posted")
    amount = json.loads(recharge["data"])["amount_minor"]

    def found(**change: Any) -> str:
        lines = lines_of(sqlite_books.folder / "all.jsonl")
        event = lines[at(lines, recharge["position"])]
        event |= change
        rehash(event)
        verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)
        assert verdict.code == TAMPERED
        words = verdict.words.removeprefix(f"tampered: position {recharge['position']}: ")
        assert words != verdict.words
        return words

    sqlite_books.export("all.jsonl")
    postings = recharge["postings"].decode()
    assert "do not sum to zero" in found(postings=postings.replace(f":{amount}", f":{amount + 1}", 1))
    assert "not those of the account" in found(postings=postings.replace("customer:cus_", "customer:cus_x", 1))
    assert "not those of the account" in found(postings="{}}")
    assert "balance" in found(available_minor=amount + 1)
    assert "version" in found(version=recharge["version"] + 1)
    assert "recorded before" in found(recorded_at_us=1)
    later = recharge["recorded_at_us"] + LONG_AFTER
    lines = lines_of(sqlite_books.folder / "all.jsonl")
    event = lines[at(lines, recharge["position"])]
    event["recorded_at_us"] = later
    rehash(event)
    verdict = auditor.verify(write_lines(sqlite_books.folder / "later.jsonl", lines), "--key", sqlite_books.key)
    assert verdict.words.startswith(f"tampered: position {recharge['position'] + 1}: the event was recorded before")


@pytest.mark.parametrize("start", [1, 4])
def test_an_account_begins_at_its_first_version_with_nothing(sqlite_books: Books, auditor: Auditor, start: int) -> None:
    original = sqlite_books.export("range.jsonl", start)
    opened = next(each["position"] for each in events_of(lines_of(original)) if each["type"] == "account.opened")

    for change in ({"available_minor": 5}, {"held_minor": 5}, {"version": 2, "available_minor": 5}):
        lines = lines_of(original)
        event = lines[at(lines, opened)]
        event |= change
        rehash(event)
        verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)
        assert verdict.code == TAMPERED
        # Within a range an account that was there before is taken as it is found; its hashes are signed for all the same.
        is_known = start == 1 or "version" not in change
        assert verdict.words.startswith(f"tampered: position {opened}: ") == is_known


def test_header_and_trailer_must_say_what_the_lines_do(sqlite_books: Books, auditor: Auditor) -> None:
    original = sqlite_books.export("all.jsonl")

    for change in (
        {"events": 1},
        {"checkpoints": 1},
        {"to": 5},
        {"from": 2},
        {"types": {}},
        {"postings": {}},
        {"root": "0" * 64},
        {"more": 1},
    ):
        lines = lines_of(original)
        lines[-1]["trailer"] |= change
        verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)
        assert verdict.code == TAMPERED and "trailer" in verdict.words, change
    for header, code in (({"to": 5}, TAMPERED), ({"from": 2}, CANNOT_TELL), ({"format": "x"}, CANNOT_TELL)):
        lines = lines_of(original)
        lines[0] |= header
        verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)
        assert verdict.code == code, (header, verdict)
    lines = lines_of(original)
    lines[0]["to"] = 5
    verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)
    assert verdict.words.startswith("tampered: position 6: the header says")
    lines = lines_of(original)
    file = write_lines(sqlite_books.folder / "longer.jsonl", [*lines, lines[1]])
    assert auditor.verify(file, "--key", sqlite_books.key).code == TAMPERED


def test_hashes_of_what_came_before_a_range_cannot_be_made_up(sqlite_books: Books, auditor: Auditor) -> None:
    lines = lines_of(sqlite_books.export("range.jsonl", 8))
    lines[0]["before"][1] = "0" * 64

    verdict = auditor.verify(write_lines(sqlite_books.folder / "changed.jsonl", lines), "--key", sqlite_books.key)

    assert verdict.code == TAMPERED and "position 8" in verdict.words
    # Nor is there room for more than are needed.
    lines = lines_of(sqlite_books.folder / "range.jsonl")
    next(line for line in lines if "checkpoint" in line)["after"] = ["0" * 64]
    file = write_lines(sqlite_books.folder / "changed.jsonl", lines)
    assert auditor.verify(file, "--key", sqlite_books.key).code == TAMPERED


def test_what_hides_behind_another_line_or_a_doubled_name_is_found(sqlite_books: Books, auditor: Auditor) -> None:
    original = sqlite_books.export("all.jsonl")
    whole = original.read_text("utf-8")
    lines = lines_of(original)
    smuggled = [*lines]
    index = next(index for index, line in enumerate(lines) if "checkpoint" in line)
    smuggled[index] = lines[index] | {"position": 1, "type": "recharge.posted"}
    file = sqlite_books.folder / "changed.jsonl"

    assert auditor.verify(write_lines(file, smuggled), "--key", sqlite_books.key).code == TAMPERED
    for changed in ({**lines[3], "memo": "paid"}, {name: lines[3][name] for name in lines[3] if name != "order_id"}):
        file = write_lines(file, [*lines[:3], changed, *lines[4:]])
        assert auditor.verify(file, "--key", sqlite_books.key).words.startswith("tampered: position 3:")
    file.write_text(whole.replace('{"position":3,', '{"position":9,"position":3,', 1))
    assert auditor.verify(file, "--key", sqlite_books.key).words.startswith("tampered: position 3:")


def test_no_changed_byte_is_called_clean(sqlite_books: Books) -> None:
    sqlite_books.seal()
    whole, chance = sqlite_books.export("range.jsonl", 4).read_bytes(), random.Random(4)
    keys = [verify_export.parse_key(sqlite_books.key)]
    header = whole.index(b"\n") + 1
    assert verify_export.verify(io.BytesIO(whole), keys, {}).startswith("clean")

    for _ in range(1_500):
        at = chance.randrange(header, len(whole))
        changed = bytearray(whole)
        changed[at] ^= 1 << chance.randrange(8)
        with pytest.raises(verify_export.Verdict) as found:
            verify_export.verify(io.BytesIO(bytes(changed)), keys, {})
        assert found.value.args[0] in (TAMPERED, CANNOT_TELL), at


def test_a_signature_has_one_form_only(sqlite_books: Books) -> None:
    text = sqlite_books.export("all.jsonl").read_text("utf-8")
    signature = sqlite_books.sealed[0].note.split(" ")[-1].strip()
    digits = string.ascii_letters + string.digits + "+/"
    written_otherwise = [f"{signature[:-2]}{digit}=" for digit in digits if digit != signature[-2]]
    same = [each for each in written_otherwise if b64decode(each) == b64decode(signature)]
    assert same, "base64 has bits to spare at its end"

    for each in same:
        changed = io.BytesIO(text.replace(signature, each).encode())
        with pytest.raises(verify_export.Verdict):
            verify_export.verify(changed, [verify_export.parse_key(sqlite_books.key)], {})


def test_the_auditors_own_checkpoint_is_compared(sqlite_books: Books, auditor: Auditor) -> None:
    kept = sqlite_books.folder / "kept"
    kept.write_text(sqlite_books.sealed[0].note)
    size = sqlite_books.sealed[0].size
    key = ("--key", sqlite_books.key, "--checkpoint", str(kept))

    assert auditor.verify(sqlite_books.export("all.jsonl"), *key).code == CLEAN
    assert auditor.verify(sqlite_books.export("following.jsonl", size + 1), *key).code == CLEAN
    before = auditor.verify(sqlite_books.export("before.jsonl", 1, size - 1), *key)
    after = auditor.verify(sqlite_books.export("after.jsonl", size + 2), *key)
    assert before.code == after.code == CANNOT_TELL
    assert f"position {size}" in before.words and f"position {size}" in after.words
    # Whoever has the key rewrites everything; only what left the house before shows it.
    keys = read_keys(sqlite_books.folder / "key")
    lines = lines_of(sqlite_books.folder / "all.jsonl")
    change_amounts(lines)
    forged = reseal(lines, lambda checkpoint: signed(checkpoint.text(), keys))
    file = write_lines(sqlite_books.folder / "forged.jsonl", forged)
    assert auditor.verify(file, "--key", sqlite_books.key).code == CLEAN
    assert auditor.verify(file, *key).code == TAMPERED


def test_a_kept_checkpoint_of_more_events_than_the_log_had_is_no_proof_that_it_was_shortened(
    sqlite_books: Books, auditor: Auditor
) -> None:
    kept = sqlite_books.folder / "kept"
    kept.write_text(sqlite_books.sealed[1].note)
    export = sqlite_books.export("short.jsonl", 1, sqlite_books.sealed[0].size)
    lines = lines_of(export)
    # As it is when the export is older than the checkpoint, or the replica was behind; and nobody signs for a header.
    lines[0]["head"] = lines[0]["to"]

    verdict = auditor.verify(write_lines(export, lines), "--key", sqlite_books.key, "--checkpoint", str(kept))

    assert verdict.code == CANNOT_TELL and "export the log itself again" in verdict.words
    assert "shortened" in verdict.words


def test_a_checkpoint_or_key_that_is_none_settles_nothing(sqlite_books: Books, auditor: Auditor) -> None:
    export = sqlite_books.export("all.jsonl")
    stranger = sqlite_books.folder / "stranger"
    size = sqlite_books.sealed[0].size
    wrong = Checkpoint(origin=NAME, size=size, root=bytes(32))
    stranger.write_text(signed(wrong.text(), [SigningKey.make(NAME)]))
    renamed = dataclasses.replace(Checkpoint.parse(unopened(sqlite_books.sealed[0].note)), origin="example.org/other")
    of_another_log = sqlite_books.folder / "other"
    of_another_log.write_text(signed(renamed.text(), read_keys(sqlite_books.folder / "key")))

    for arguments in (
        ("--key", sqlite_books.key[:-4]),
        ("--key", "no key"),
        ("--key", str(SigningKey.make("example.org/other").verifier)),
        ("--key", sqlite_books.key, "--checkpoint", str(stranger)),
        ("--key", sqlite_books.key, "--checkpoint", str(of_another_log)),
        ("--key", sqlite_books.key, "--checkpoint", str(export)),
        ("--key", sqlite_books.key, "--checkpoint", "nowhere"),
    ):
        verdict = auditor.verify(export, *arguments)
        assert verdict.code == CANNOT_TELL, arguments
        assert verdict.words.startswith("cannot tell: ")
    for mistyped in (sqlite_books.key.replace("ledger+", "ledgers+"), sqlite_books.key.swapcase()):
        assert "nor a verifier key" in auditor.verify(export, "--key", mistyped).words
    assert auditor.verify(sqlite_books.folder / "nowhere.jsonl", "--key", sqlite_books.key).code == CANNOT_TELL


def test_after_a_change_of_keys_the_auditor_names_both(sqlite_books: Books, auditor: Auditor) -> None:
    old = sqlite_books.key
    new = SigningKey.make(NAME)
    (sqlite_books.folder / "key").write_text(f"{new}\n")
    sqlite_books.seal()
    export = sqlite_books.export("all.jsonl")
    head = len(sqlite_books.rows())

    both = auditor.verify(export, "--key", old, "--key", str(new.verifier))

    assert both.code == CLEAN and f"1 to {head} are signed for" in both.words
    assert auditor.verify(export, "--key", old).code == TAMPERED
    assert VerifierKey.parse(old).name == new.name
