"""Excerpts say what the events say, on every engine, and damage is told where it is."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from ledger import codec, log
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.errors import CorruptLog
from ledger.events import EVENT_CLASSES
from ledger.settings import LedgerSettings
from shop import fill


@pytest.fixture
def engine(ledger_url: str) -> Iterator[sa.Engine]:
    settings = LedgerSettings(database_url=ledger_url)
    engine = open_engine(ledger_url, settings)
    ledger = Ledger(engine, settings)
    fill(ledger, random.Random(3), customers=2, orders=50)
    ledger.close()
    yield engine
    engine.dispose()


def test_excerpts_are_the_events(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        events = log.events_after(connection, 3, 60)

        excerpts = log.excerpts_after(connection, 3, 60)

    assert [each.position for each in excerpts] == [each.position for each in events]
    for excerpt, event in zip(excerpts, events, strict=True):
        for name in ("account_id", "version", "type", "schema_version", "order_id", "actor", "correlation_id"):
            assert getattr(excerpt, name) == getattr(event, name)
        assert (excerpt.available_minor, excerpt.held_minor) == (event.available_minor, event.held_minor)
        assert (excerpt.recorded_at_us, excerpt.leaf) == (event.recorded_at_us, event.leaf_hash.hex())
        assert (excerpt.data.encode(), excerpt.postings.encode()) == (event.data, event.postings)
    assert any("straße" in each.data for each in excerpts)


def test_the_content_of_an_excerpt_is_what_decoding_gives(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        for each in log.excerpts_after(connection, 0, 1_000):
            content = codec.content(each.type, each.schema_version, each.data)

            decoded = codec.decode(each.type, each.schema_version, each.data.encode())
            assert EVENT_CLASSES[each.type](**content) == decoded


@pytest.mark.parametrize(
    "damage", [b'{"a":"\xff"}', b'{"a":"\x1f"}', b"?", b"{}", b"[]", b'{"amount_minor":1,"currency":"CNY"} ']
)
def test_damaged_data_is_told_where_it_is(sqlite_ledger_url: str, damage: bytes) -> None:
    settings = LedgerSettings(database_url=sqlite_ledger_url)
    engine = open_engine(sqlite_ledger_url, settings)
    ledger = Ledger(engine, settings)
    fill(ledger, random.Random(3), customers=2, orders=50)
    ledger.close()
    with engine.connect().execution_options(write=True) as connection:
        connection.exec_driver_sql("DROP TRIGGER events_refuse_update")
        connection.exec_driver_sql("UPDATE events SET data = ? WHERE position = 4", (damage,))
        connection.commit()

    with engine.connect() as connection:
        excerpts = log.excerpts_after(connection, 0, 10)

    engine.dispose()
    assert [each.position for each in excerpts] == list(range(1, 11))
    with pytest.raises(CorruptLog):
        codec.content(excerpts[3].type, excerpts[3].schema_version, excerpts[3].data)
    codec.content(excerpts[4].type, excerpts[4].schema_version, excerpts[4].data)


def test_content_of_another_version_or_type_is_corrupt() -> None:
    for type_name, version in (("recharge.posted", 99), ("no.such", 1), ("recharge.posted", 0)):
        with pytest.raises(CorruptLog):
            codec.content(type_name, version, '{"amount_minor":1,"currency":"CNY"}')
