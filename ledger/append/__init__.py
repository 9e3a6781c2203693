"""The one writer of the log: commands that wait together are decided and committed together."""

from ledger.append.ledger import Ledger

__all__ = ["Ledger"]
