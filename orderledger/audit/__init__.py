"""`orderledger audit`: what an auditor does with the log."""

from __future__ import annotations

import click

from orderledger.audit.archive import audit_archive, audit_verify_archive
from orderledger.audit.export import audit_export
from orderledger.audit.proofs import audit_check, audit_checkpoint, audit_keygen, audit_keys, audit_prove
from orderledger.audit.replay import audit_replay
from orderledger.audit.verifier import audit_verifier
from orderledger.audit.verify import audit_verify
from orderledger.audit.what_if import audit_what_if


@click.group("audit")
def audit_group() -> None:
    """Check the log, look at what it led to, and hand it to outsiders."""


for command in (
    audit_verify,
    audit_replay,
    audit_what_if,
    audit_export,
    audit_verifier,
    audit_archive,
    audit_verify_archive,
    audit_checkpoint,
    audit_prove,
    audit_check,
    audit_keygen,
    audit_keys,
):
    audit_group.add_command(command)
