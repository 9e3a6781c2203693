"""URLs of Redis: one server, or Sentinels that know where the master is."""

from __future__ import annotations

import pytest

from ledger.errors import BadSetting
from projections.redis_clients import Sentinels, open_redis, sentinels_of


def test_a_sentinel_url_names_sentinels_master_database_and_logins() -> None:
    url = "rediss+sentinel://us%40er:p%2Cw@one:1,[::1],three/the-master/3?sentinel_username=s&sentinel_password=t"

    assert sentinels_of(url) == Sentinels(
        addresses=[("one", 1), ("::1", 26379), ("three", 26379)],
        master="the-master",
        database=3,
        is_encrypted=True,
        login={"username": "us@er", "password": "p,w"},
        sentinel_login={"username": "s", "password": "t"},
    )


def test_a_password_alone_is_that_of_the_default_user() -> None:
    found = sentinels_of("redis+sentinel://:secret@one/books")

    assert (found.login, found.database, found.is_encrypted) == ({"password": "secret"}, 0, False)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one:26379",
        "redis+sentinel:///books",
        "redis+sentinel://one/books/first",
        "redis+sentinel://one/books?other=1",
        "redis+sentinel://one:port/books",
        "redis+sentinel://" + ",".join(["one"] * 10) + "/books",
        "http://one",
    ],
)
def test_a_url_that_says_too_little_or_something_else_is_refused(url: str) -> None:
    with pytest.raises(BadSetting):
        open_redis(url)
