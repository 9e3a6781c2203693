"""What a product may say of its executor."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.executor_settings import FieldError, executor_names, secret_bytes, validate_settings


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "https://executor.example/orders"},
        {"url": "http://127.0.0.1:9000", "timeout_s": 2.5, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        {"url": "http://[::1]:9000/a/b/", "timeout_s": 15, "secret": "c2VjcmV0LWtleQ"},
    ],
)
def test_good_http_settings_are_accepted(settings: dict[str, Any]) -> None:
    assert validate_settings("http", settings) == []


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({}, "/url"),
        ({"url": 5}, "/url"),
        ({"url": ""}, "/url"),
        ({"url": "executor.example"}, "/url"),
        ({"url": "ftp://executor.example/"}, "/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"url": "http:///orders"}, "/url"),
        ({"url": "http://user:password@executor.example/"}, "/url"),
        ({"url": "http://executor.example/?a=b"}, "/url"),
        ({"url": "http://executor.example/#a"}, "/url"),
        ({"url": "http://executor.example:99999/"}, "/url"),
        ({"url": "http://executor.example/\r\nHost: x"}, "/url"),
        ({"url": "http://executor.example/" + "a" * 2_000}, "/url"),
        ({"url": "https://e.example/", "timeout_s": 0}, "/timeout_s"),
        ({"url": "https://e.example/", "timeout_s": 16}, "/timeout_s"),
        ({"url": "https://e.example/", "timeout_s": True}, "/timeout_s"),
        ({"url": "https://e.example/", "timeout_s": "10"}, "/timeout_s"),
        ({"url": "https://e.example/", "timeout_s": float("nan")}, "/timeout_s"),
        ({"url": "https://e.example/", "secret": ""}, "/secret"),
        ({"url": "https://e.example/", "secret": "not base64!"}, "/secret"),
        ({"url": "https://e.example/", "secret": None}, "/secret"),
        ({"url": "https://e.example/", "retries/max": 3}, "/retries~1max"),
    ],
)
def test_bad_http_settings_name_the_field(settings: dict[str, Any], pointer: str) -> None:
    (error,) = validate_settings("http", settings)

    assert error.pointer == pointer
    assert error.message


def test_an_unknown_executor_names_the_ones_there_are() -> None:
    (error,) = validate_settings("carrier-pigeon", {})

    assert isinstance(error, FieldError)
    assert error.pointer == ""
    assert "http, simulated" in error.message
    assert {"http", "simulated"} <= executor_names()


@pytest.mark.parametrize("percent", [-1, 101, 1.5, "1", True])
def test_simulated_percentages_are_whole_and_from_0_to_100(percent: Any) -> None:
    assert validate_settings("simulated", {"fail_percent": 0, "deliver_percent": 100, "delay_s": 0.5}) == []
    assert [error.pointer for error in validate_settings("simulated", {"fail_percent": percent})] == ["/fail_percent"]


def test_a_secret_is_read_with_and_without_prefix_and_padding() -> None:
    assert secret_bytes("whsec_c2VjcmV0") == secret_bytes("c2VjcmV0") == b"secret"
    assert secret_bytes("c2VjcmV0cw==") == secret_bytes("c2VjcmV0cw") == b"secrets"
