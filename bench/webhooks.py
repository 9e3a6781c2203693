"""Webhooks: events a second to one and to many subscriptions, beside a loop of posts: `python -m bench.webhooks [EVENTS]`.

One courier in this process, MariaDB with every commit on disk, and a receiver in a process of its own that answers 204 and
counts. The loop posts as many ready bodies of the same size to the same receiver over one kept connection, unsigned.
"""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
SUBSCRIPTIONS = (1, 20)
EVENTS = 5_000
ANSWER = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_receive, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measure(events: int) -> None:
    """Print the figures as rows of a table."""
    from bench.server import OPTIONS, MeasuredServer
    from ledger import log
    from ledger.append import Ledger
    from ledger.commands import Recharge
    from ledger.database import open_engine
    from ledger.directory import webhooks
    from ledger.directory.directory import Directory
    from ledger.migrate import upgrade
    from ledger.settings import LedgerSettings
    from ledger.webhooks.settings import WebhookSettings
    from servers import PrivateMariaDB
    from submissions import Desk, submission
    from workers.webhooks.courier import Courier
    from workers.webhooks.messages import Entry

    receiver = subprocess.Popen([sys.executable, __file__, "receive"], stdout=subprocess.PIPE)
    assert receiver.stdout is not None
    port = int(receiver.stdout.readline())
    try:
        with PrivateMariaDB(binlog=True, options=OPTIONS) as mariadb, MeasuredServer(mariadb).database() as url:
            upgrade(url)
            engine = open_engine(url, LedgerSettings())
            desk = Desk(Ledger(engine, LedgerSettings()), engine)
            account_id = desk.open()
            command = Recharge(account_id=account_id, amount_minor=1, currency="CNY")
            desk.ledger.append_batch([submission(command) for _ in range(events - 1)], atomic=False)
            with engine.connect() as connection:
                body = Entry(log.events_after(connection, events - 1, 1)[0]).body()
            settings = WebhookSettings(allow_private=True)
            directory = Directory(engine)
            for subscriptions in SUBSCRIPTIONS:
                for _ in range(ROUNDS):
                    content = {"url": f"http://127.0.0.1:{port}/hook"}
                    made = webhooks.create(directory, [content] * subscriptions, head=0)
                    courier = Courier(log_engine=engine, directory_engine=engine, settings=settings)
                    began_s = time.monotonic()
                    # None: nothing is under way or due.
                    while (wait_s := courier.advance(claiming=True)) is not None:
                        courier.wait(wait_s)
                    took_s = time.monotonic() - began_s
                    courier.close()
                    for each, _ in made:
                        assert webhooks.read(directory, each["id"], head=events)["lag_events"] == 0
                        webhooks.delete(directory, each["id"])
                    _row(f"courier, {subscriptions} subscriptions", events * subscriptions, took_s)
            for _ in range(ROUNDS):
                began_s = time.monotonic()
                _loop(port, body, events)
                _row("loop of posts", events, time.monotonic() - began_s)
            desk.ledger.close()
            engine.dispose()
    finally:
        receiver.terminate()
        receiver.wait()


def _loop(port: int, body: bytes, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(count):
        connection.request("POST", "/hook", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()


def _row(name: str, messages: int, took_s: float) -> None:
    print(f"| {name} | {messages:,} messages in {took_s:.2f} s | {messages / took_s:,.0f} a second |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["receive"]:
        asyncio.run(_serve())
    else:
        sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)
