"""Notes, checkpoints and proofs read as others write them, and are refused as soon as a byte is wrong."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.proofs.notes import BadNote, Checkpoint, EventProof, SigningKey, VerifierKey, opened, signed

# From the documentation of golang.org/x/mod/sumdb/note, whose form of keys and notes C2SP has taken over.
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = SigningKey("example.org/ledger", bytes(range(32)))
ROOT = "A" * 43 + "="
CHECKPOINT = Checkpoint(origin="example.org/ledger", size=42, root=bytes(32))


def test_a_published_note_opens_with_its_published_key() -> None:
    key = VerifierKey.parse(PUBLISHED_KEY)

    assert str(key) == PUBLISHED_KEY
    assert opened(PUBLISHED_NOTE, [key]).endswith("what your problem is.\n")


def test_keys_survive_their_text_and_tell_nothing_of_themselves() -> None:
    made = SigningKey.make("example.org/ledger")

    assert SigningKey.parse(str(made) + "\n") == made
    assert VerifierKey.parse(str(made.verifier)) == made.verifier
    encoded = str(made).split("+", 4)[4]  # May have a plus sign itself.
    assert base64.b64decode(encoded)[1:] == made.seed
    assert made.seed.hex() not in repr(made) and encoded not in repr(made)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "a+b+c", PUBLISHED_KEY[:-1], PUBLISHED_KEY.replace("c74f", "c75f"),
        PUBLISHED_KEY.replace("Peter", "Paul"), "a b+c74f20a3+ARpc",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        VerifierKey.parse(text)
    with pytest.raises(BadNote):
        SigningKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "x" * 201])
def test_a_name_that_would_break_a_note_is_refused(name: str) -> None:
    with pytest.raises(BadNote):
        SigningKey.make(name)


def test_a_checkpoint_is_opened_by_its_key_alone() -> None:
    note = signed(CHECKPOINT.text(), [KEY])

    assert Checkpoint.parse(opened(note, [KEY.verifier])) == CHECKPOINT
    with pytest.raises(BadNote, match="none of the keys"):
        opened(note, [SigningKey.make("example.org/ledger").verifier])
    with pytest.raises(BadNote, match="none of the keys"):
        opened(note, [])


def test_other_signatures_beside_it_do_not_matter() -> None:
    witness = SigningKey.make("witness.example")
    note = signed(CHECKPOINT.text(), [KEY])
    both = note + signed(CHECKPOINT.text(), [witness]).rpartition("\n\n")[2]

    for key in (KEY, witness):
        assert Checkpoint.parse(opened(both, [key.verifier])) == CHECKPOINT


@given(st.data())
def test_a_note_with_any_other_byte_is_refused(data: st.DataObject) -> None:
    note = signed(CHECKPOINT.text(), [KEY]).encode()
    at = data.draw(st.integers(0, len(note) - 1))
    changed = bytearray(note)
    changed[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(BadNote):
        opened(bytes(changed).decode("utf-8", "replace"), [KEY.verifier])


@pytest.mark.parametrize(
    "text",
    ["", "a\n", "a\n1\n", f"a\nx\n{ROOT}\n", f"a\n01\n{ROOT}\n", f"a\n-1\n{ROOT}\n", "a\n1\nAAAA\n", f"\n1\n{ROOT}\n"],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        Checkpoint.parse(text)


def test_a_proof_survives_its_text_with_or_without_what_others_add() -> None:
    proof = EventProof(index=6, hashes=[bytes(32), bytes(range(32))], note=signed(CHECKPOINT.text(), [KEY]))

    text = proof.text()

    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 6\nAAAA")
    assert EventProof.parse(text) == proof
    with_extra = EventProof.parse(text.replace("\nindex", "\nextra AAAA\nindex", 1))
    assert with_extra == replace(proof, extra=bytes(3)) and EventProof.parse(with_extra.text()) == with_extra
    assert EventProof.parse(EventProof(index=0, hashes=[], note=proof.note).text()).hashes == []


@pytest.mark.parametrize(
    "change", [("@v1", "@v2"), ("index 6", "index 06"), ("index 6", "6"), ("AAAA", "AAA"), ("\n\n", "\n")]
)
def test_what_is_no_proof_is_refused(change: tuple[str, str]) -> None:
    proof = EventProof(index=6, hashes=[bytes(32)], note=signed(CHECKPOINT.text(), [KEY]))

    with pytest.raises(BadNote):
        EventProof.parse(proof.text().replace(*change))
