"""Signed notes, checkpoints and proofs as text that other people's tools read.

A checkpoint says how many events the log has and what the root of the tree over them is. Source: C2SP signed-note,
tlog-checkpoint, tlog-proof.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.errors import LedgerError

ED25519 = b"\x01"
KEY_BYTES, SIGNATURE_BYTES, KEY_ID_BYTES, HASH_BYTES = 32, 64, 4, 32
PROOF_HEADING = "c2sp.org/tlog-proof@v1"
SIGNATURES_MAX = 16
_DASH = "\u2014"
_NAME = re.compile(r"[^\s+]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,14}")


@dataclass(eq=False, kw_only=True)
class BadNote(LedgerError):
    """A key, note, checkpoint or proof that is not what it should be."""

    code = "bad-note"
    message = "{problem}"
    problem: str


@dataclass(eq=False, kw_only=True)
class NotSigned(BadNote):
    """None of the keys that one knows has signed a note."""

    problem: str = "none of the keys has signed this note"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """What an auditor keeps: a name and a public key."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that a signature names its key by."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_text(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a key. Raises BadNote."""
        name, public = _key_parts(text.strip(), "a verifier key such as example.org/ledger+1a2b3c4d+AQ…")
        key = cls(name, public)
        if str(key) != text.strip():
            raise BadNote(problem="the verifier key's number does not belong to it: was it cut or mistyped?")
        return key

    def is_of(self, text: str, signature: bytes) -> bool:
        """Say whether the signature is this key's, of this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What the log signs with; its text is secret."""

    name: str
    seed: bytes

    @property
    def verifier(self) -> VerifierKey:
        """What belongs to it and may be known."""
        return VerifierKey(self.name, self._private().public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"<signing key of {self.name}>"

    def __str__(self) -> str:
        return f"PRIVATE+KEY+{self.name}+{self.verifier.id.hex()}+{_text(ED25519 + self.seed)}"

    @classmethod
    def make(cls, name: str) -> SigningKey:
        """Make a new key. Raises BadNote for a name that cannot be one."""
        if not _NAME.fullmatch(name):
            raise BadNote(problem="a log's name is like example.org/ledger: no spaces and no plus signs")
        return cls(name, token_bytes(KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read a key. Raises BadNote, which says nothing of the key."""
        stripped = text.strip()
        if not stripped.startswith("PRIVATE+KEY+"):
            raise BadNote(problem="this is not a signing key; make one with `orderledger audit keygen`")
        name, seed = _key_parts(stripped.removeprefix("PRIVATE+KEY+"), "a signing key")
        key = cls(name, seed)
        if str(key) != stripped:
            raise BadNote(problem="the signing key's number does not belong to it: was it cut or mistyped?")
        return key

    def signature(self, text: str) -> str:
        """Return the line that signs a text."""
        signature = self.verifier.id + self._private().sign(text.encode())
        return f"{_DASH} {self.name} {_text(signature)}\n"

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The log of this name had `size` events, and the tree over them this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{_text(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read what was signed. Raises BadNote."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] != "" or not lines[0] or not _SIZE.fullmatch(lines[1]):
            raise BadNote(problem="this is not a checkpoint: expected a name, a size and a root")
        return cls(origin=lines[0], size=int(lines[1]), root=_bytes(lines[2], HASH_BYTES, "a root"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProof:
    """That the leaf at `index` (position less one) is in the checkpoint's tree; `extra` has the leaf's bytes, which prove
    themselves by their hash.
    """

    index: int
    hashes: Sequence[bytes]
    note: str
    extra: bytes = b""

    def text(self) -> str:
        """Return the proof as a file."""
        extra = [f"extra {_text(self.extra)}"] if self.extra else []
        lines = [PROOF_HEADING, *extra, f"index {self.index}", *map(_text, self.hashes), ""]
        return "\n".join(lines) + "\n" + self.note

    @classmethod
    def parse(cls, text: str) -> EventProof:
        """Read a proof. Raises BadNote."""
        head, blank, note = text.partition("\n\n")
        lines = head.split("\n")
        extra = b""
        if lines[1:2] and lines[1].startswith("extra "):
            extra = _decoded(lines.pop(1).removeprefix("extra "))
        if (
            not blank
            or lines[0] != PROOF_HEADING
            or not re.fullmatch(r"index (0|[1-9][0-9]{0,14})", "".join(lines[1:2]))
        ):
            raise BadNote(problem=f"this is not a proof: it begins with {PROOF_HEADING} and an index")
        hashes = [_bytes(line, HASH_BYTES, "a hash") for line in lines[2:]]
        return cls(index=int(lines[1].removeprefix("index ")), hashes=hashes, note=note, extra=extra)


def signed(text: str, keys: Sequence[SigningKey]) -> str:
    """Return the note of a text that ends in a newline, signed by each of the keys."""
    return text + "\n" + "".join(key.signature(text) for key in keys)


def unopened(note: str) -> str:
    """Return the text of a note, whoever signed it."""
    return note.rpartition("\n\n")[0] + "\n"


def opened(note: str, keys: Sequence[VerifierKey]) -> str:
    """Return the text of a note that one of the keys has signed. Raises NotSigned, BadNote."""
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not blank or lines[-1] != "" or not 1 <= len(lines) - 1 <= SIGNATURES_MAX:
        raise BadNote(problem="this is not a signed note: expected a text, a blank line and signatures")
    text += "\n"
    known = {(key.name, key.id): key for key in keys}
    is_signed = False
    for line in lines[:-1]:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != _DASH or not _NAME.fullmatch(name):
            raise BadNote(
                problem="this is not a signed note: expected a dash, a name and a signature on its last lines"
            )
        raw = _decoded(encoded)
        key = known.get((name, raw[:KEY_ID_BYTES]))
        # Who else has signed is not ours to judge.
        if key is not None:
            if not key.is_of(text, raw[KEY_ID_BYTES:]):
                raise BadNote(problem=f"the signature of {name} is not of this text")
            is_signed = True
    if not is_signed:
        raise NotSigned()
    return text


def _key_parts(text: str, expected: str) -> tuple[str, bytes]:
    name, _, rest = text.partition("+")
    number, _, encoded = rest.partition("+")
    raw = _decoded(encoded)
    if (
        not _NAME.fullmatch(name)
        or not re.fullmatch("[0-9a-f]{8}", number)
        or len(raw) != 1 + KEY_BYTES
        or raw[:1] != ED25519
    ):
        raise BadNote(problem=f"expected {expected}")
    return name, raw[1:]


def _bytes(text: str, length: int, what: str) -> bytes:
    raw = _decoded(text)
    if len(raw) != length:
        raise BadNote(problem=f"expected {what} of {length} bytes in base64")
    return raw


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return b""


def _text(raw: bytes) -> str:
    return b64encode(raw).decode("ascii")
