"""Verify an export of an orderledger log, without orderledger: this one file, Python 3.11 or newer and `cryptography`.

    python verify_export.py EXPORT.jsonl --key KEY [--key KEY …] [--checkpoint FILE …]

KEY is the log's verifier key, or a file with keys, which you got in another way than the export. FILE is a signed
checkpoint that you kept. Exit code 0: clean; 1: tampered, with the first bad position; 2: nobody can tell.

Checked are: each event's hash, made anew from its fields; positions and account versions without gaps; times; postings
that sum to zero and lead to the balances; the roots of the Merkle tree that were signed for; the trailer's figures.
Whether amounts follow from prices is for `orderledger audit verify` to say, which has the rules.

The tree (RFC 6962), signed notes and checkpoints (C2SP) are written here a second time on purpose: who checks the ledger
must not need the ledger's code. docs/exports.md describes the format.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "orderledger-export/v1"
LABEL = b"orderledger-leaf/v1"
LEAF_FIELDS = (
    "position", "event_id", "account_id", "version", "type", "schema_version", "order_id", "actor", "idempotency_key",
    "correlation_id", "causation_id", "recorded_at_us", "available_minor", "held_minor", "details_hash", "data", "postings",
)  # fmt: skip
INTEGERS = {"position", "version", "schema_version", "recorded_at_us", "available_minor", "held_minor"}
HEXADECIMAL = {"event_id": 16, "details_hash": 32}
OPTIONAL = {"order_id", "causation_id", "details_hash"}

Key = tuple[str, bytes, bytes]
"""A verifier key: whose it is, the four bytes that signatures name it by, the public key."""
Kept = dict[int, list[bytes]]
"""The roots of the checkpoints that the auditor kept, by their sizes."""


class Verdict(Exception):
    """A verdict other than clean: its exit code and words."""


def tampered(position: int, words: str) -> Verdict:
    """Return that something is wrong, at this position or later."""
    return Verdict(1, f"tampered: position {position}: {words}")


def cannot_tell(words: str) -> Verdict:
    """Return that what is needed for a verdict is missing."""
    return Verdict(2, f"cannot tell: {words}")


def parse_key(text: str) -> Key:
    """Read a key such as example.org/ledger+1a2b3c4d+AQ…; raises Verdict."""
    name, _, rest = text.strip().partition("+")
    number, _, encoded = rest.partition("+")
    raw = decode(encoded)
    key_id = sha256(name.encode() + b"\n" + raw).digest()[:4]
    if len(raw) != 33 or raw[0] != 1 or key_id.hex() != number:
        raise cannot_tell(f"{text[:60]!r} is no file, nor a verifier key such as example.org/ledger+1a2b3c4d+AQ…")
    return name, key_id, raw[1:]


def open_note(note: str, keys: Sequence[Key]) -> tuple[tuple[str, int, bytes], bool]:
    """Return a note's name, size and root, and whether one of the keys has signed it; raises ValueError."""
    text, _, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if len(lines) < 3 or not re.fullmatch("0|[1-9][0-9]{0,14}", lines[1]):
        raise ValueError("is not a signed checkpoint")
    is_signed = False
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix("\u2014 ").partition(" ")
        raw = decode(encoded)
        for known, key_id, public in keys:
            if known == name == lines[0] and key_id == raw[:4]:
                try:
                    Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], f"{text}\n".encode())
                except InvalidSignature:
                    raise ValueError(f"has a signature of {name} that is not of its text") from None
                is_signed = True
    return (lines[0], int(lines[1]), decode(lines[2])), is_signed


def decode(text: str) -> bytes:
    """Return the bytes of base64 in its one form, none for anything else."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        return b""
    return raw if b64encode(raw).decode() == text else b""


class Tree:
    """The whole subtrees that the leaves so far make up, as height and root, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self.subtrees: list[tuple[int, bytes]] = []

    def add(self, root: bytes, height: int = 0) -> None:
        """Add the next leaf's hash, or the root of the next whole subtree."""
        self.size += 1 << height
        while self.subtrees and self.subtrees[-1][0] == height:
            root = sha256(b"\x01" + self.subtrees.pop()[1] + root).digest()
            height += 1
        self.subtrees.append((height, root))

    def grow(self, size: int, roots: Sequence[Any]) -> None:
        """Add leaves up to a size, of which only the roots of the fewest whole subtrees are known; raises ValueError."""
        rest = iter(roots)
        while self.size < size:
            height = (size - self.size).bit_length() - 1
            if self.size:
                height = min(height, (self.size & -self.size).bit_length() - 1)
            self.add(unhex(next(rest, None), 32), height)
        if next(rest, None) is not None:
            raise ValueError("comes with too many hashes")

    def root_at(self, size: int, roots: Sequence[Any]) -> bytes:
        """Return the root as it is once grown to a size."""
        grown = Tree()
        grown.size, grown.subtrees = self.size, self.subtrees.copy()
        grown.grow(size, roots)
        found = b""
        for _, each in reversed(grown.subtrees):
            found = sha256(b"\x01" + each + found).digest() if found else each
        return found or sha256(b"").digest()


def unhex(text: Any, length: int) -> bytes:
    """Return the bytes of a hexadecimal text in lower case; raises ValueError."""
    if not isinstance(text, str) or not re.fullmatch(f"[0-9a-f]{{{2 * length}}}", text):
        raise ValueError("lacks a hash")
    return bytes.fromhex(text)


def leaf_hash(event: dict[str, Any]) -> bytes:
    """Hash an event from its fields: each as a 4-byte length and its bytes, a missing one as the length ffffffff."""
    leaf = [b"\x00", LABEL]
    for name in LEAF_FIELDS:
        value = event[name]
        if value is None and name in OPTIONAL:
            leaf.append(b"\xff\xff\xff\xff")
        elif type(value) is (int if name in INTEGERS else str):
            raw = unhex(value, HEXADECIMAL[name]) if name in HEXADECIMAL else str(value).encode()
            leaf += [len(raw).to_bytes(4, "big"), raw]
        else:
            raise ValueError
    return sha256(b"".join(leaf)).digest()


class Verification:
    """An export on its way, line by line."""

    def __init__(self, header: dict[str, Any], keys: Sequence[Key], kept: Kept) -> None:
        self.first, self.last, self.head = header["from"], header["to"], header["head"]
        self.keys, self.kept = keys, kept
        self.tree, self.covered = Tree(), self.first - 1
        self.tree.grow(self.covered, header["before"])
        self.checkpoints = self.events = self.time_us = 0
        self.types: Counter[str] = Counter()
        self.sums: dict[str, Counter[str]] = defaultdict(Counter)
        self.accounts: dict[str, tuple[int, int, int]] = {}
        self.check_kept()

    def event(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        expected = self.tree.size + 1
        try:
            if event["position"] != expected:
                raise tampered(expected, f"this position is missing; {event['position']} follows")
            if event.keys() != {*LEAF_FIELDS, "leaf_hash"} or unhex(event["leaf_hash"], 32) != leaf_hash(event):
                raise ValueError
        except (ValueError, KeyError):
            raise tampered(expected, "the leaf hash is not that of the fields") from None
        if event["recorded_at_us"] < self.time_us:
            raise tampered(expected, "the event was recorded before the one before it")
        self.postings(event, expected)
        self.time_us, self.events = event["recorded_at_us"], self.events + 1
        self.types[event["type"]] += 1
        self.tree.add(bytes.fromhex(event["leaf_hash"]))
        self.check_kept()

    def postings(self, event: dict[str, Any], position: int) -> None:
        """Check an event's postings, and that they and those before lead to its balance and version."""
        customer = f"customer:{event['account_id']}:"
        moved, sums = Counter[str](), Counter[str]()
        try:
            for leg in json.loads(event["postings"]):
                account, amount, currency = leg["account"], leg["amount_minor"], leg["currency"]
                is_own = account in (f"{customer}available", f"{customer}held")
                if type(amount) is not int or not (is_own or account.startswith("platform:")):
                    raise ValueError
                moved[account] += amount
                sums[currency] += amount
                self.sums[account][currency] += amount
        except (ValueError, TypeError, KeyError, AttributeError):
            raise tampered(position, "the postings are not those of the account and the platform") from None
        if any(sums.values()):
            raise tampered(position, "the postings do not sum to zero")
        now = (event["version"], event["available_minor"], event["held_minor"])
        available, held = moved[f"{customer}available"], moved[f"{customer}held"]
        before = self.accounts.get(event["account_id"])
        if before is None:
            # What came before the range is not known here, unless nothing did.
            before = (now[0] - 1, now[1] - available, now[2] - held) if self.first > 1 and now[0] > 1 else (0, 0, 0)
        if now[0] != before[0] + 1:
            raise tampered(position, f"version {now[0]} follows version {before[0]} of the account")
        if now[1:] != (before[1] + available, before[2] + held):
            raise tampered(position, "the balance is not what the postings lead to")
        self.accounts[event["account_id"]] = now

    def checkpoint(self, line: dict[str, Any]) -> None:
        """Take a checkpoint over the events so far, and later ones of which it brings hashes."""
        self.checkpoints += 1
        suspect, size = self.covered + 1, self.tree.size
        try:
            (origin, signed_size, root), is_signed = open_note(line["checkpoint"], self.keys)
            if signed_size < size or root != self.tree.root_at(signed_size, line["after"]):
                raise tampered(suspect, f"an event from here to {size} is not the one that was signed for")
        except ValueError as error:
            raise tampered(suspect, f"the checkpoint after event {size} {error}") from None
        names = {key[0] for key in self.keys}
        if names and origin not in names:
            raise cannot_tell(f"the export is of {origin}, the key of {', '.join(sorted(names))}")
        if names and not is_signed:
            raise tampered(suspect, f"the checkpoint after event {size} is signed by none of the keys that you named")
        self.covered = size

    def check_kept(self) -> None:
        """Compare with a checkpoint of this size that the auditor kept."""
        size = self.tree.size
        for root in self.kept.pop(size, ()):
            if root != self.tree.root_at(size, ()):
                raise tampered(self.covered + 1, f"an event up to {size} is not what your checkpoint was signed for")
            self.covered = max(self.covered, size)

    def end(self, trailer: Any) -> None:
        """Compare the trailer with the events."""
        size = self.tree.size
        wanted: dict[str, Any] = {"from": self.first, "to": self.last, "events": self.events, "types": self.types}
        wanted |= {"postings": self.sums, "checkpoints": self.checkpoints, "root": self.tree.root_at(size, ()).hex()}
        if size != self.last:
            raise tampered(min(size, self.last) + 1, f"the header says that the last is {self.last}, and it is {size}")
        if trailer != wanted:
            wrong = [name for name in wanted if not isinstance(trailer, dict) or trailer.get(name) != wanted[name]]
            raise tampered(size, f"the trailer says otherwise than the events: {', '.join(wrong)}")

    def verdict(self) -> str:
        """Say what is clean, and what of it is signed for; raises Verdict."""
        for size in sorted(self.kept, reverse=True):
            if size > self.head:
                # The export may be older than the checkpoint; what its header says of the log is signed by nobody.
                words = f"your checkpoint is of {size} events, and the log had {self.head} when it was exported"
                raise cannot_tell(f"{words}; export the log itself again: if it still has fewer, it was shortened")
            raise cannot_tell(f"position {size}, which your checkpoint goes to, is not in the export; export it, too")
        if not self.keys:
            raise cannot_tell("the export agrees with itself; name the log's verifier key (--key) to see whose it is")
        if self.covered < self.first:
            raise cannot_tell("the export agrees with itself, but no signed checkpoint covers any of it; export more")
        rest = f"; {self.covered + 1} to {self.last} came after the last checkpoint" if self.covered < self.last else ""
        return f"clean: {self.events} events; positions {self.first} to {self.covered} are signed for{rest}"


def parse_line(line: bytes) -> dict[str, Any]:
    """Return a line's object; raises EOFError for a line that was cut, ValueError when it is none or a name comes twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    if not line.endswith(b"\n"):
        raise EOFError
    return json.loads(line, object_pairs_hook=unique)  # type: ignore[no-any-return]


def verify(file: BinaryIO, keys: Sequence[Key], kept: Kept) -> str:
    """Return the verdict on a clean export; raises Verdict."""
    verification = None
    try:
        header = parse_line(file.readline())
        if header["format"] != FORMAT or not 1 <= header["from"] <= header["to"] <= header["head"]:
            raise cannot_tell(f"this is not an export in the format {FORMAT}, or it is one of nothing")
        verification = Verification(header, keys, kept)
        for line in map(parse_line, file):
            if line.keys() == {"trailer"}:
                verification.end(line["trailer"])
                if file.read(1):
                    raise tampered(verification.last, "more lines follow the trailer")
                return verification.verdict()
            if line.keys() == {"checkpoint", "after"}:
                verification.checkpoint(line)
            else:
                verification.event(line)
        raise EOFError
    except EOFError:
        raise cannot_tell("the file ends without its trailer: it was cut off, or its export is not finished") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if verification is None:
            raise cannot_tell("the first line is not the header of an export") from None
        raise tampered(verification.tree.size + 1, "the line is not what an export has") from None


def read_kept(paths: Iterable[Path], keys: Sequence[Key]) -> Kept:
    """Return the checkpoints in these files by their sizes; raises Verdict."""
    kept: Kept = {}
    for path in paths:
        try:
            (_, size, root), is_signed = open_note(path.read_text("utf-8"), keys)
            if keys and not is_signed:
                raise ValueError("is not signed by a key that you named")
        except ValueError as error:
            raise cannot_tell(f"{path} {error}") from None
        kept.setdefault(size, []).append(root)
    return kept


def main() -> NoReturn:
    """Verify, print the verdict, and exit with its code."""
    parser = argparse.ArgumentParser(description="Verify an export of an orderledger log.")
    parser.add_argument("export", type=Path, metavar="EXPORT.jsonl")
    parser.add_argument("--key", action="append", default=[], help="verifier key, or a file with keys; may be repeated")
    parser.add_argument("--checkpoint", action="append", default=[], type=Path, help="signed checkpoint that you kept")
    arguments = parser.parse_args()
    try:
        files = [Path(each).read_text("utf-8").split() if Path(each).is_file() else [each] for each in arguments.key]
        keys = [parse_key(text) for file in files for text in file]
        with arguments.export.open("rb") as export:
            words, code = verify(export, keys, read_kept(arguments.checkpoint, keys)), 0
    except Verdict as verdict:
        code, words = verdict.args
    except (OSError, UnicodeDecodeError) as error:
        words, code = f"cannot tell: {error}", 2
    print(words)
    sys.exit(code)


if __name__ == "__main__":
    main()
