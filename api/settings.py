"""The settings of the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import phonenumbers

from ledger.settings import boolean, integer, read_settings, seconds, setting, text

SECRET_FILE = "secret-key"
"""Where in the data directory `up` keeps the secret key that it made."""


def region(value: str) -> str:
    """Accept a country that has telephone numbers."""
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"expected a country code of two capital letters such as CN, got {value!r}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where the API listens, and the limits of what it takes."""

    host: str = setting("HOST", text, "127.0.0.1", "address the API listens on")
    port: int = setting("PORT", integer(0, 65_535), 8000, "port the API listens on; 0 picks a free one")
    secret_key: str = setting(
        "SECRET_KEY",
        text,
        "",
        "seals sessions and list cursors; empty: kept in the data directory by `up`, else new in each process",
        secret=True,
    )
    phone_region: str = setting(
        "PHONE_REGION", region, "CN", "country (ISO 3166) of mobile numbers that name none, such as CN or US"
    )
    api_workers: int = setting("API_WORKERS", integer(1, 64), 1, "processes of the API server")
    api_threads: int = setting("API_THREADS", integer(1, 1_000), 64, "requests one API process works on at a time")
    api_queue_max: int = setting(
        "API_QUEUE_MAX",
        integer(0, 10_000),
        256,
        "requests that may wait in one API process for their turn; more are refused at once",
    )
    api_queue_wait_s: float = setting(
        "API_QUEUE_WAIT_S", seconds(0, 10), 1.0, "longest wait of a request for its turn, in seconds"
    )
    api_connections_max: int = setting(
        "API_CONNECTIONS_MAX",
        integer(1, 100_000),
        4_096,
        "connections one API process keeps open; more wait until it accepts them",
    )
    drain_notice_s: float = setting(
        "DRAIN_NOTICE_S",
        seconds(0, 120),
        2.0,
        "how long an API process told to stop still serves, /readyz saying no and each answer closing its connection",
    )
    drain_s: int = setting("DRAIN_S", integer(1, 600), 15, "longest wait for requests in flight at a stop, in seconds")
    request_bytes_max: int = setting(
        "REQUEST_BYTES_MAX", integer(1_024, 1 << 30), 1 << 20, "largest request body, in bytes"
    )
    batch_bytes_max: int = setting(
        "BATCH_BYTES_MAX", integer(1_024, 1 << 30), 32 << 20, "largest batch in one JSON body, in bytes"
    )
    min_position_wait_s: float = setting(
        "MIN_POSITION_WAIT_S", seconds(0, 8), 2.0, "longest wait of a read for the position it must reflect, in seconds"
    )
    cancellation_wait_s: float = setting(
        "CANCELLATION_WAIT_S", seconds(0, 9), 5.0, "longest wait of a cancellation for the executor's word, in seconds"
    )

    batch_lines_max: int = setting(
        "BATCH_LINES_MAX", integer(1, 100_000_000), 1_000_000, "commands of one streamed batch"
    )
    batch_streams_max: int = setting(
        "BATCH_STREAMS_MAX",
        integer(1, 1_000),
        16,
        "streamed batches one API process takes at once, up to a quarter of ORDERLEDGER_API_THREADS",
    )
    event_streams_max: int = setting(
        "EVENT_STREAMS_MAX", integer(1, 1_000), 16, "event streams (text/event-stream) one API process keeps open"
    )
    event_stream_s: float = setting(
        "EVENT_STREAM_S",
        seconds(1, 3_600),
        300.0,
        "how long an event stream lasts; clients then connect again, in seconds",
    )

    export_rows_max: int = setting(
        "EXPORT_ROWS_MAX", integer(1, 1_000_000), 50_000, "rows of one XLSX export; CSV has no limit"
    )
    what_if_events_max: int = setting(
        "WHAT_IF_EVENTS_MAX",
        integer(1_000, 100_000_000),
        200_000,
        "events that one what-if over HTTP reads; ten from before its range count as one",
    )
    trusted_proxies: int = setting(
        "TRUSTED_PROXIES",
        integer(0, 10),
        0,
        "reverse proxies in front, one behind the other, whose X-Forwarded-For and X-Forwarded-Proto are believed",
    )

    access_log: bool = setting("ACCESS_LOG", boolean, False, "is a line logged for each request answered")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ApiSettings:
        """Read the settings from environment variables. Raises BadSetting."""
        return read_settings(cls, environment)
