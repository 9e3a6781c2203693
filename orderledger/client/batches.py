"""Many commands at once: lists, and streams of any length in constant memory.

A stream is sent in slices, each of which is held until all its results are definite, so that a lost connection repeats
one slice under the same keys and nothing is done twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from orderledger.client.amounts import encode
from orderledger.client.answers import BatchResult, Posted
from orderledger.client.commands import Command
from orderledger.client.connections import Reply
from orderledger.client.errors import ClientError, OutcomeUnknown, ServerFault, Unavailable, error_of_problem
from orderledger.client.sending import Request

COMMANDS_MAX = 10_000
"""What one list may hold; the API's limit."""
SLICE_COMMANDS = 1_000
PAUSE_S = 0.2
"""Before commands that were refused for the moment are sent again."""
NDJSON = "application/x-ndjson"
Send = Callable[[Request], Reply]


def post_list(send: Send, commands: Sequence[Command], *, atomic: bool, dry_run: bool) -> list[BatchResult]:
    """Post a list and return a result for each command, in order."""
    if not 1 <= len(commands) <= COMMANDS_MAX:
        raise ValueError(f"a batch has 1 to {COMMANDS_MAX} commands; stream more")
    lines = b",".join(encode(each.line()) for each in commands)
    target = "/v1/batches?dry_run=true" if dry_run else "/v1/batches"
    reply = send(
        Request(
            method="POST",
            target=target,
            body=b'{"atomic":%s,"commands":[%s]}' % (b"true" if atomic else b"false", lines),
            # Every command has its key, so the whole may be repeated.
            key=commands[0].key,
            is_dry_run=dry_run,
        )
    )
    return [_result(each) for each in json.loads(reply.body)["results"]]


def post_stream(send: Send, commands: Iterable[Command], *, timeout_s: float) -> Iterator[BatchResult]:
    """Post commands as they come and yield a result for each, in order, a slice at a time.

    What is refused for the moment is sent again with its key, within the deadline of its slice. Raises Unavailable or
    OutcomeUnknown when a slice gets no answer, or after its results when some are still not definite: what comes behind
    would be decided without them. What was yielded before stands.
    """
    waiting = iter(commands)
    while chunk := list(islice(waiting, SLICE_COMMANDS)):
        results = _slice_results(send, chunk, timeout_s)
        yield from results
        for each in results:
            if isinstance(each.error, Unavailable | OutcomeUnknown):
                raise each.error


def _slice_results(send: Send, chunk: Sequence[Command], timeout_s: float) -> list[BatchResult]:
    ends_at_s = time.monotonic() + timeout_s
    results: dict[int, BatchResult] = {}
    left = list(range(len(chunk)))
    while left:
        body = b"".join(encode(chunk[index].line()) + b"\n" for index in left)
        request = Request(
            method="POST",
            target="/v1/batches",
            body=body,
            headers={"Content-Type": NDJSON},
            key=chunk[left[0]].key,
        )
        lines = send(request).body.splitlines()
        if len(lines) != len(left):
            raise ServerFault(f"{len(left)} commands had {len(lines)} results")
        results |= {index: _result(json.loads(line)) for index, line in zip(left, lines, strict=True)}
        left = [index for index in left if isinstance(results[index].error, Unavailable | OutcomeUnknown)]
        if time.monotonic() + PAUSE_S > ends_at_s:
            break
        if left:
            time.sleep(PAUSE_S)
    return [results[index] for index in range(len(chunk))]


def _result(document: Mapping[str, Any]) -> BatchResult:
    key, status = document.get("idempotency_key") or "", document["status"]
    posted: Posted | None = None
    error: ClientError | None = None
    if "result" in document:
        posted = Posted.of(document["result"], key=key, replayed=document.get("replayed", False))
    elif "problem" in document:
        error = error_of_problem(document["problem"], status=status, key=key)
    return BatchResult(key=key, status=status, posted=posted, error=error)
