"""A process that posts at a fixed rate, whatever the answers take, and wakes the projections as the API does.

`python -m bench.paced_load ORDER` speaks the language of `bench.load`.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import uuid
from typing import Any

from bench import processor
from bench.ledger_way import deduction
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from projections.redis_clients import open_redis
from projections.wake import Waker


def main() -> None:
    """Serve requests until standard input ends."""
    order = json.loads(sys.argv[1])
    settings = LedgerSettings(database_url=order["url"])
    engine = open_engine(order["url"], settings)
    waker = Waker(open_redis(order["redis_url"]))
    ledger = Ledger(engine, settings, after_commit=waker.after_commit)
    for line in sys.stdin:
        request = json.loads(line)
        answer = _post(ledger, order, request["seconds"]) if request["do"] == "post" else {}
        print(json.dumps(answer), flush=True)
    ledger.close()
    waker.close()
    engine.dispose()


def _post(ledger: Ledger, order: dict[str, Any], seconds: float) -> dict[str, Any]:
    before_s, errors = processor.own_s(), list[str]()
    began_s = time.monotonic()
    interval_s = order["callers"] / order["per_s"]

    def run(number: int) -> None:
        due_s = began_s + interval_s * number / order["callers"]
        chance = random.Random()
        while due_s < began_s + seconds:
            time.sleep(max(0.0, due_s - time.monotonic()))
            outcome = ledger.append(deduction(chance.randint(1, order["accounts"]), uuid.uuid4().hex))
            if outcome.error is not None:
                errors.append(repr(outcome.error))
            due_s += interval_s

    callers = [threading.Thread(target=run, args=(number,)) for number in range(order["callers"])]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return {"error": errors[0] if errors else None, "own_s": processor.own_s() - before_s}


if __name__ == "__main__":
    main()
