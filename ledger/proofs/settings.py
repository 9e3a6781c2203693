"""The settings of proofs: who signs, how often the log is sealed and verified, and where checkpoints are published to."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.settings import integer, seconds, setting, text


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSettings:
    """Where the signing key is, how often the log is sealed and verified, and who is told."""

    signing_key_file: str = setting(
        "SIGNING_KEY_FILE",
        text,
        "",
        "file of the key that signs checkpoints; what it signed last stands beside it, under the same name with .state; "
        "default: signing-key in the data directory, made by `up` on its first start; without the file nothing is sealed",
    )
    seal_interval_s: float = setting(
        "SEAL_INTERVAL_S",
        seconds(0.1, 86_400),
        10.0,
        "new events are sealed under a signed checkpoint after so many seconds",
    )
    seal_events: int = setting(
        "SEAL_EVENTS",
        integer(1, 1_000_000),
        1_000,
        "and sooner when there are so many of them",
    )
    verify_interval_s: float = setting(
        "VERIFY_INTERVAL_S",
        seconds(0, 31_536_000),
        86_400.0,
        "how often maintenance has the whole log verified, at low priority, and records the outcome; 0: never",
    )
    publish_checkpoints_to: str = setting(
        "PUBLISH_CHECKPOINTS_TO",
        text,
        "",
        "where each new checkpoint is published, comma-separated: a directory (absolute path), an https:// URL that takes "
        "a POST, or a command after an exclamation mark that reads it from its input",
    )
