"""Secrets may come from files, so that they stand in no environment that others can list."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import BadSetting
from ledger.settings import LedgerSettings, read_settings
from orderledger.reference import settings_in_force
from orderledger.surroundings import complete, has_own_signing_key, known_settings, uses_embedded_redis

URL = "mysql+pymysql://u:hush@db/ledger"


def test_a_secret_is_read_from_the_file_that_its_variable_names(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL + "\n")

    settings = read_settings(LedgerSettings, {"ORDERLEDGER_DATABASE_URL_FILE": str(tmp_path / "url")})

    assert settings.database_url == URL


def test_every_secret_setting_may_be_a_file_and_no_other(tmp_path: Path) -> None:
    for each in known_settings():
        variable = f"ORDERLEDGER_{each.variable}_FILE"
        (tmp_path / "value").write_text("redis://r" if "REDIS" in variable else "sqlite:///x.sqlite")
        environment = {variable: str(tmp_path / "value"), "ORDERLEDGER_DATA": str(tmp_path)}

        if each.secret:
            completed = complete(environment)
            assert completed[f"ORDERLEDGER_{each.variable}"]
            assert variable not in completed
        else:
            with pytest.raises(BadSetting, match="no such setting"):
                complete(environment)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_file_that_is_no_secret_stops_the_start_and_is_not_shown(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(BadSetting, match="ORDERLEDGER_SECRET_KEY_FILE") as caught:
        complete({"ORDERLEDGER_SECRET_KEY_FILE": str(file)})

    assert "xxx" not in str(caught.value)


def test_a_secret_that_is_set_in_both_ways_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one")

    with pytest.raises(BadSetting, match="remove one"):
        complete({"ORDERLEDGER_SECRET_KEY": "two", "ORDERLEDGER_SECRET_KEY_FILE": str(tmp_path / "secret")})


def test_a_url_in_a_file_is_a_url(tmp_path: Path) -> None:
    environment = {"ORDERLEDGER_DATABASE_URL_FILE": "/run/url", "ORDERLEDGER_REDIS_URL_FILE": "/run/redis"}

    assert not has_own_signing_key(environment)
    assert not uses_embedded_redis(environment)
    (shown,) = [each for each in settings_in_force(environment) if each["variable"] == "ORDERLEDGER_DATABASE_URL"]
    assert shown["value"] == "(set, not shown)"
