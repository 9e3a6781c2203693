"""`orderledger audit verifier`: the program that checks an export without the service."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("verifier")
def audit_verifier() -> None:
    """Print the program that verifies an export: one file, which needs Python and the package cryptography only.

    orderledger audit verifier > verify_export.py
    """
    sys.stdout.buffer.write(Path(__file__).with_name("verify_export.py").read_bytes())
