"""One process under load: closed-loop callers over one way of posting, told what to do in JSON lines.

`python -m bench.load ORDER` reads a request a line on standard input and writes an answer a line, until its input
ends. Each caller waits for its answer before it posts again. All callers warm up, meet at a barrier, and then post
until the time is over; what is measured is exactly between the barrier and the last caller's last answer.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from bench import processor
from bench.ways import CANCELLATION, KINDS, ORDER, SupplyExhausted, Way, open_way

MIXTURE = (15, 40, 30, 15)
"""Of a hundred commands of a mixed load, how many are of each of KINDS."""
FILL_BATCH = 8_000
MEETING_S_MAX = 120.0
"""How long callers wait for each other's warming up."""


def main() -> None:
    """Serve requests until standard input ends."""
    order = json.loads(sys.argv[1])
    way = open_way(order["way"], order["url"], order["accounts"], order["callers"])
    load = Load(
        way,
        accounts=order["accounts"],
        callers=order["callers"],
        batch=order["batch"],
        mixed=order.get("mixed", False),
        server_pid=order["server_pid"],
    )
    answers: dict[str, Callable[[dict[str, Any]], Any]] = {
        "create": lambda _: way.create(),
        "fill": lambda request: load.fill(request["posts"]),
        "ready": lambda request: way.make_ready(request["posts"]),
        "load": lambda request: load.run(warm_until=request["warm_until"], seconds=request["seconds"]),
        "check": lambda _: way.check(),
    }
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answers[request["do"]](request)), flush=True)
    way.close()


class Load:
    """The callers of one process."""

    def __init__(self, way: Way, *, accounts: int, callers: int, batch: int, mixed: bool, server_pid: int) -> None:
        self._way = way
        self._accounts = accounts
        self._callers = callers
        self._batch = batch
        self._mixed = mixed
        self._server_pid = server_pid

    def fill(self, posts: int) -> int:
        """Post so many commands in large batches, and return how many."""
        chance = random.Random(posts)
        for done in range(0, posts, FILL_BATCH):
            some = range(min(FILL_BATCH, posts - done))
            self._way.post_batch(
                [chance.randint(1, self._accounts) for _ in some], [f"{chance.getrandbits(128):032x}" for _ in some]
            )
        return posts

    def run(self, *, warm_until: float, seconds: float) -> dict[str, Any]:
        """Run all callers and return what they did, in microseconds where it is time."""
        meeting = threading.Barrier(self._callers + 1, timeout=MEETING_S_MAX)
        end = [0.0]
        callers = [Caller(self, self._way, meeting, warm_until, end) for _ in range(self._callers)]
        for caller in callers:
            caller.start()
        meeting.wait()
        before = self._snapshot()
        end[0] = before["monotonic"] + seconds
        meeting.wait()
        for caller in callers:
            caller.join()
        after = self._snapshot()
        errors = [repr(caller.error) for caller in callers if caller.error is not None]
        return {
            "error": errors[0] if errors else None,
            "posts": sum(caller.posts for caller in callers),
            "posts_warming": sum(caller.posts_warming for caller in callers),
            "waits_us": list(itertools.chain.from_iterable(caller.waits_us for caller in callers)),
            **{name: after[name] - before[name] for name in before},
        }

    def one(self, chance: random.Random, orders: list[tuple[int, Any]]) -> int:
        """Post once and return how many commands that were; `orders` are the caller's open ones with their accounts."""
        if self._mixed:
            self._one_of_the_mixture(chance, orders)
        elif self._batch == 1:
            self._way.post(chance.randint(1, self._accounts), uuid.uuid4().hex)
        else:
            accounts = [chance.randint(1, self._accounts) for _ in range(self._batch)]
            self._way.post_batch(accounts, [uuid.uuid4().hex for _ in range(self._batch)])
        return self._batch

    def _one_of_the_mixture(self, chance: random.Random, orders: list[tuple[int, Any]]) -> None:
        (kind,) = chance.choices(KINDS, MIXTURE)
        account, order = chance.randint(1, self._accounts), None
        if kind == CANCELLATION:
            if orders:
                account, order = orders.pop(0)
            else:
                kind = ORDER
        placed = self._way.post_kind(kind, account, uuid.uuid4().hex, order)
        if kind == ORDER:
            orders.append((account, placed))

    def _snapshot(self) -> dict[str, float]:
        return {
            "monotonic": time.monotonic(),
            "own_s": processor.own_s(),
            "server_s": processor.process_s(self._server_pid),
            "machine_s": processor.machine_s(),
            **self._way.counters(),
        }


class Caller(threading.Thread):
    """A client that posts, waits for its answer, and posts again."""

    def __init__(self, load: Load, way: Way, meeting: threading.Barrier, warm_until: float, end: list[float]) -> None:
        super().__init__(daemon=True)
        self._load = load
        self._way = way
        self._meeting = meeting
        self._warm_until = warm_until
        self._end = end
        self.posts = 0
        self.posts_warming = 0
        self.waits_us: list[int] = []
        self.error: Exception | None = None

    def run(self) -> None:
        """Warm up, meet the others, post until the end."""
        try:
            self._post_on()
        except SupplyExhausted:
            pass
        except Exception as error:  # noqa: BLE001 - the edge of this thread: the error fails the measurement
            self.error = error
            self._meeting.abort()
        finally:
            self._way.leave()

    def _post_on(self) -> None:
        chance, orders = random.Random(), list[tuple[int, Any]]()
        while True:
            self.posts_warming += self._load.one(chance, orders)
            if time.monotonic() >= self._warm_until:
                break
        self._meeting.wait()
        self._meeting.wait()
        end = self._end[0]
        finished = time.monotonic()
        while finished < end:
            started = finished
            self.posts += self._load.one(chance, orders)
            finished = time.monotonic()
            self.waits_us.append(round((finished - started) * 1_000_000))


if __name__ == "__main__":
    main()
