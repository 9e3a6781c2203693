"""Delivery over TLS: only to a receiver whose certificate is trusted and is its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from certificates import THIS_MACHINE, self_signed
from hook_receiver import HookReceiver
from post_office import PostOffice
from workers.executors.call import _tls

ELSEWHERE = (x509.DNSName("hooks.example.org"),)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of the certificates that are trusted, in place of the system's."""
    file = tmp_path / "trusted.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    _tls.cache_clear()
    yield file
    _tls.cache_clear()


@pytest.fixture
def receiver(request: pytest.FixtureRequest, tmp_path: Path, trusted: Path) -> Iterator[HookReceiver]:
    """A receiver over TLS with a trusted certificate, of this machine unless the test says whose."""
    certified = self_signed(tmp_path, getattr(request, "param", THIS_MACHINE))
    shutil.copyfile(certified[0], trusted)
    server = HookReceiver(certified=certified)
    yield server
    server.close()


def test_a_message_reaches_a_receiver_over_tls_signed(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)

    office.deliver_all(webhook_id)

    (taken,) = office.receiver.taken()
    assert taken.message["type"] == "recharge.posted"
    assert office.read(webhook_id)["url"].startswith("https://")
    assert [each["code"] for each in office.attempts(webhook_id)] == ["delivered"]


def test_a_certificate_that_nobody_trusts_gets_nothing_until_it_is_trusted(
    sqlite_office: PostOffice, trusted: Path
) -> None:
    office = sqlite_office
    certificate = trusted.read_bytes()
    trusted.write_bytes(b"")
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)

    office.deliver_until(lambda: office.read(webhook_id)["failures"] > 1)
    failing = office.read(webhook_id)
    refused = list(office.receiver.received)
    trusted.write_bytes(certificate)
    _tls.cache_clear()
    office.deliver_all(webhook_id)

    assert (failing["last_code"], failing["lag_events"], refused) == ("tls-failed", 1, [])
    assert office.receiver.positions() == [2]
    assert [each["code"] for each in office.attempts(webhook_id)][-1] == "delivered"


@pytest.mark.parametrize("receiver", [ELSEWHERE], indirect=True)
def test_a_trusted_certificate_of_another_name_gets_nothing(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)

    office.deliver_until(lambda: office.read(webhook_id)["failures"] > 0)

    assert office.read(webhook_id)["last_code"] == "tls-failed"
    assert office.receiver.received == []
