"""The settings of sealing: who signs, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.settings import seconds, setting, text


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSettings:
    """Where the signing key is, and how often the log is sealed."""

    signing_key_file: str = setting(
        "SIGNING_KEY_FILE",
        text,
        "",
        "file of the key that signs checkpoints; what it signed last stands beside it, under the same name with .state; "
        "empty: signing-key in the data directory, made by `up`",
    )
    seal_interval_s: float = setting(
        "SEAL_INTERVAL_S",
        seconds(0.1, 86_400),
        10.0,
        "how often new events are sealed under a signed checkpoint, in seconds",
    )
