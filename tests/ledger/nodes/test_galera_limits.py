"""What Galera asks of a schema, held against ours."""

from __future__ import annotations

import sqlalchemy as sa


def test_every_table_has_a_primary_key_is_innodbs_and_counts_nothing_by_itself(mariadb_ledger_url: str) -> None:
    engine = sa.create_engine(mariadb_ledger_url)
    with engine.connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT table_name, engine, auto_increment FROM information_schema.tables "
            "WHERE table_schema=DATABASE() AND table_type='BASE TABLE'"
        ).all()
        keyed = connection.exec_driver_sql(
            "SELECT table_name FROM information_schema.table_constraints "
            "WHERE table_schema=DATABASE() AND constraint_type='PRIMARY KEY'"
        ).all()
    engine.dispose()

    assert len(tables) > 20
    assert {row[0] for row in tables} == {row[0] for row in keyed}
    assert {row[1] for row in tables} == {"InnoDB"}
    assert {row[2] for row in tables} == {None}
