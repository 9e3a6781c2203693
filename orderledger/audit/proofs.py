"""`orderledger audit keygen`, `keys`, `checkpoint`, `prove` and `check`: signed statements about the log."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from orderledger.audit.opening import audit_engine, environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.proofs.notes import EventProof, VerifierKey
    from ledger.proofs.sealing import Sealed

EXIT_FINDING, EXIT_CANNOT_TELL = 1, 2


@click.command("keygen")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--file", "file", metavar="FILE", type=click.Path(path_type=Path), help="ORDERLEDGER_SIGNING_KEY_FILE.")
@click.option("--add", is_flag=True, help="Add a key to the file: checkpoints are signed by all keys in it.")
def audit_keygen(name: str | None, file: Path | None, add: bool) -> None:  # noqa: FBT001
    """Make the key that signs checkpoints, and print its verifier key, which auditors keep.

    NAME says whose log it is, such as ledger.example.org/v1/log (best the address of /v1/log without https://).

    To change keys: add the new one, hand out its verifier key, and remove the old one's line from the file once every
    auditor has it.
    """
    from ledger.proofs.notes import SigningKey
    from ledger.proofs.signer import add_key, write_key

    path = file or _key_file()
    if add:
        if name is not None:
            raise click.UsageError("with --add the new key gets the name of those in the file; leave NAME out")
        key = add_key(path)
    else:
        if name is None:
            raise click.UsageError("name the log, such as ledger.example.org/v1/log")
        key = SigningKey.make(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            write_key(path, key)
        except FileExistsError:
            raise click.UsageError(f"{path} exists; `--add` makes another key of the same name in it") from None
    click.echo(str(key.verifier))
    click.echo(f"the signing key is in {path}: keep it secret, and the verifier key anywhere but here", err=True)


@click.command("keys")
def audit_keys() -> None:
    """Print the verifier keys of the signing key file, the newest first."""
    from ledger.proofs.signer import read_keys

    for key in read_keys(_key_file()):
        click.echo(str(key.verifier))


@click.command("checkpoint")
@click.option(
    "--seal", "wants_seal", is_flag=True, help="Sign for what the log has now, rather than wait for maintenance."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_checkpoint(wants_seal: bool, as_json: bool) -> None:  # noqa: FBT001
    """Print the newest signed checkpoint: keep it, and `audit verify --checkpoint` tells whether the log still is that one."""
    from ledger.proofs.sealing import latest, seal
    from ledger.proofs.signer import Signer
    from ledger.reading import read

    with audit_engine(writing=wants_seal) as engine:
        if wants_seal:
            seal(engine, Signer(_key_file()))
        sealed = read(engine, latest)
    if sealed is None:
        click.echo("nothing is sealed yet; maintenance does it within seconds, or --seal now", err=True)
        sys.exit(EXIT_CANNOT_TELL)
    click.echo(json.dumps(_document(sealed)) if as_json else sealed.note, nl=as_json)


@click.command("prove")
@click.argument("position", metavar="POSITION", type=click.IntRange(1))
@click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write it there instead of printing it."
)
@click.option(
    "--archive",
    metavar="PATH",
    type=click.Path(exists=True, path_type=Path),
    help="Prove it from an archive's folder or file, without the database.",
)
def audit_prove(position: int, output: Path | None, archive: Path | None) -> None:
    """Print the proof that the event at POSITION is under the newest checkpoint, with the event's bytes (tlog-proof)."""
    proof = _proof(position) if archive is None else _archived_proof(archive, position)
    if proof is None and archive is not None:
        click.echo(f"{archive} does not hold position {position}", err=True)
        sys.exit(EXIT_CANNOT_TELL)
    if proof is None:
        click.echo(f"no checkpoint covers position {position} (yet)", err=True)
        sys.exit(EXIT_CANNOT_TELL)
    if output is None:
        click.echo(proof.text(), nl=False)
    else:
        output.write_text(proof.text(), "utf-8")


@click.command("check")
@click.argument("file", metavar="PROOF", type=click.File("r", encoding="utf-8"))
@click.option("--key", "keys", metavar="KEY", multiple=True, required=True, help="Verifier key, or a file with keys.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_check(file: TextIO, keys: Sequence[str], as_json: bool) -> None:  # noqa: FBT001
    """Check a proof of one event, and show the event; needs no database."""
    from ledger.leaf import LEAF_FIELDS, leaf_fields, leaf_hash
    from ledger.proofs.notes import BadNote, Checkpoint, EventProof, opened
    from ledger.proofs.tree import is_included

    verifiers = verifier_keys(keys)
    try:
        proof = EventProof.parse(file.read())
        checkpoint = Checkpoint.parse(opened(proof.note, verifiers))
        values = leaf_fields(proof.extra)
    except (BadNote, ValueError) as error:
        click.echo(f"this proves nothing: {error}", err=True)
        sys.exit(EXIT_FINDING)
    leaf = leaf_hash(proof.extra)
    is_proven = is_included(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    if not is_proven or values[0] != b"%d" % (proof.index + 1):
        click.echo("this proves nothing: the event is not in the checkpoint's tree", err=True)
        sys.exit(EXIT_FINDING)
    event = {name: _shown(name, value) for name, value in zip(LEAF_FIELDS, values, strict=True)}
    if as_json:
        click.echo(json.dumps({"origin": checkpoint.origin, "size": checkpoint.size, "event": event}))
        return
    click.echo(f"proven: one of the first {checkpoint.size} events of {checkpoint.origin}")
    for name, value in event.items():
        if value is not None:
            click.echo(f"  {name}: {value}")


def _proof(position: int) -> EventProof | None:
    from ledger.proofs.sealing import event_proof
    from ledger.reading import read

    with audit_engine(position=position) as engine:
        return read(engine, lambda connection: event_proof(connection, position))


def _archived_proof(path: Path, position: int) -> EventProof | None:
    from ledger.archive.proving import archived_proof
    from ledger.archive.segments import segments_of

    return archived_proof(segments_of([path]), position)


def verifier_keys(given: Sequence[str]) -> list[VerifierKey]:
    """Return the keys of an option: each a key itself, or a file with one on each line. Raises BadNote."""
    from ledger.proofs.notes import VerifierKey

    found: list[VerifierKey] = []
    for each in given:
        path = Path(each)
        lines = path.read_text("utf-8").splitlines() if "+" not in each and path.is_file() else [each]
        found += [VerifierKey.parse(line) for line in lines if line.strip()]
    return found


def _key_file() -> Path:
    from ledger.proofs.settings import ProofSettings
    from ledger.settings import read_settings

    return Path(read_settings(ProofSettings, environment()).signing_key_file)


def _document(sealed: Sealed) -> dict[str, object]:
    from ledger.clock import rfc3339

    at = rfc3339(sealed.sealed_at_us)
    return {"size": sealed.size, "root": sealed.root.hex(), "sealed_at": at, "note": sealed.note}


def _shown(name: str, value: bytes | None) -> str | None:
    is_binary = name in ("event_id", "details_hash")
    return None if value is None else value.hex() if is_binary else value.decode("utf-8", "replace")
