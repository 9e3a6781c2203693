"""What came after a checkpoint is verified without what came before, and rests on nothing that is not under it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger import schema
from ledger.audit.findings import Report
from ledger.commands import (
    CancelOrder,
    ChangeLevel,
    CompleteOrder,
    Reactivate,
    ReverseTransaction,
    SetCreditLimit,
    StartOrder,
    Suspend,
)
from ledger.proofs.checking import Kept
from ledger.proofs.notes import Checkpoint, SigningKey
from ledger.proofs.sealing import seal
from ledger.proofs.signer import Signer, write_key
from root import Root, live
from submissions import Desk


class Later:
    """A log with a checkpoint in its middle: orders that were open there went on, and so did every account."""

    def __init__(self, root: Root, desk: Desk, key_file: Path) -> None:
        self.root = root
        self._desk = desk
        write_key(key_file, SigningKey.make("ledger.test/v1/log"))
        self._signer = Signer(key_file)
        live(desk)
        self.account = desk.open(recharged_minor=50_000)
        recharge = desk.recharge(self.account, 900)
        self.done(ChangeLevel(account_id=self.account, level_id="lev_1", discount_percent="90"))
        self.done(SetCreditLimit(account_id=self.account, credit_limit_minor=700))
        self.orders = [self.placed(100), self.placed(200), self.placed(300)]
        self.done(StartOrder(order_id=self.orders[1], attempt=1, executor="http"))
        self.quiet = desk.open(recharged_minor=4_000)
        self.done(Suspend(account_id=self.quiet))
        sealed = seal(root.engine, self._signer)
        assert sealed is not None
        checkpoint = Checkpoint(origin="ledger.test/v1/log", size=sealed.size, root=sealed.root)
        self.kept = Kept(checkpoint, "the checkpoint in kept")
        self.size = sealed.size
        self.done(CompleteOrder(order_id=self.orders[1], attempt=1, delivered=150))
        self.done(CancelOrder(order_id=self.orders[0]))
        self.done(StartOrder(order_id=self.orders[2], attempt=1, executor="http"))
        self.placed(50)
        self.done(
            ReverseTransaction(reverses_position=recharge.position, account_id=self.account, signed_amount_minor=900)
        )
        self.done(Reactivate(account_id=self.quiet))
        assert desk.deduct(self.account, 40_000).error is None
        opened = desk.open(recharged_minor=10)
        assert desk.deduct(opened, 3).error is None

    def done(self, command: Any) -> None:
        outcome = self._desk.submit(command)
        assert outcome.error is None, outcome.error

    def placed(self, quantity: int) -> str:
        order = self._desk.place(self.account, quantity).order
        assert order is not None
        return order.order_id

    @property
    def head(self) -> int:
        return int(self.root.query("SELECT position FROM log_head")[0][0])

    def verify(self, processes: int = 1) -> Report:
        return self.root.verify(processes, since=self.kept)


@pytest.fixture
def later(desk: Desk, ledger_url: str, tmp_path: Path) -> Later:
    return Later(Root(desk.engine, ledger_url), desk, tmp_path / "key")


def test_only_the_newer_events_are_verified_and_they_are_clean(later: Later) -> None:
    for processes in (1, 2, 3, 7):
        report = later.verify(processes)

        assert (report.status, report.finding) == ("clean", None)
        assert report.events == later.head - later.size < later.head


def test_the_checkpoint_of_the_whole_log_leaves_nothing_to_verify(later: Later, desk: Desk) -> None:
    sealed = seal(desk.engine, later._signer)
    assert sealed is not None
    checkpoint = Checkpoint(origin="ledger.test/v1/log", size=sealed.size, root=sealed.root)

    report = later.root.verify(since=Kept(checkpoint, "the checkpoint in kept"))

    assert (report.status, report.events) == ("clean", 0)


def test_a_log_of_several_tiles_goes_on_from_any_checkpoint(later: Later, desk: Desk) -> None:
    account_id = desk.open(recharged_minor=10_000)
    for _ in range(300):
        assert desk.deduct(account_id, 1).error is None
    sealed = seal(desk.engine, later._signer)
    assert sealed is not None
    checkpoint = Checkpoint(origin="ledger.test/v1/log", size=sealed.size, root=sealed.root)
    for _ in range(250):
        assert desk.deduct(account_id, 1).error is None
    since = Kept(checkpoint, "the checkpoint in kept")

    for processes in (1, 3):
        report = later.root.verify(processes, since=since)
        assert (report.status, report.events, report.finding) == ("clean", 250, None)
    later.root.change(sealed.size - 3, available_minor=9, sealed=True)
    assert later.root.verify(since=since).status == "tampered"


@pytest.mark.parametrize("sealed", [False, True], ids=["hash left", "hash made anew"])
@pytest.mark.parametrize("column", ["available_minor", "version", "data", "actor", "recorded_at_us"])
def test_a_change_after_the_checkpoint_is_found(later: Later, column: str, *, sealed: bool) -> None:
    forged: dict[str, Any] = {
        "available_minor": 5, "version": 99, "data": b"{}", "actor": "key:forged", "recorded_at_us": 1,
    }  # fmt: skip
    position = later.size + 2

    later.root.change(position, sealed=sealed, **{column: forged[column]})

    report = later.verify()
    if sealed and column == "actor":
        assert report.status == "clean", "nothing was signed for what came later"
    else:
        assert (report.status, report.first_bad_position) == ("tampered", position), report.finding


def test_what_the_newer_events_rest_on_must_be_under_the_checkpoint(later: Later) -> None:
    # The last event of the account before the checkpoint says more money, and the newer ones were made to fit.
    last = later.root.query(
        f"SELECT MAX(position) FROM events WHERE account_id='{later.account}' AND position<={later.size}"
    )[0][0]
    row = later.root.event(last)
    later.root.change(last, sealed=True, available_minor=row["available_minor"] + 1)
    for (position,) in later.root.query(
        f"SELECT position FROM events WHERE account_id='{later.account}' AND position>{last} ORDER BY position"
    ):
        later.root.change(position, sealed=True, available_minor=later.root.event(position)["available_minor"] + 1)
    later.root.run(f"UPDATE accounts SET available_minor=available_minor+1 WHERE account_id='{later.account}'")

    for processes in (1, 3):
        report = later.verify(processes)
        assert report.status == "tampered", report.finding
        assert report.first_bad_position is not None and report.first_bad_position <= last


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounts SET available_minor=available_minor+1 WHERE account_id='{account}'",
        "UPDATE accounts SET credit_limit_minor=9 WHERE account_id='{account}'",
        "UPDATE accounts SET status='suspended' WHERE account_id='{quiet}'",
        "UPDATE orders SET captured_minor=1 WHERE order_id='{order}'",
        "DELETE FROM orders WHERE order_id='{order}'",
        "DELETE FROM outcomes WHERE position={later}",
        "DELETE FROM reversals WHERE position>{size}",
    ],
)
def test_tables_that_do_not_have_what_the_newer_events_left_are_found(later: Later, change: str) -> None:
    place = {"account": later.account, "quiet": later.quiet, "order": later.orders[1], "size": later.size}
    later.root.run(change.format(**place, later=later.size + 3))

    assert later.verify().status == "tampered"


def test_a_text_that_was_altered_after_the_checkpoint_is_found(later: Later, desk: Desk) -> None:
    early = later.root.query("SELECT MIN(position) FROM details")[0][0]
    late = desk.recharge(later.account, 1, details={"memo": "late"}).position
    assert early < later.size < late and later.verify().status == "clean"

    for position, found in ((early, ("clean", None)), (late, ("tampered", late))):
        later.root.run(sa.update(schema.details).where(schema.details.c.position == position).values(details=b"{}"))

        report = later.verify()
        assert (report.status, report.first_bad_position) == found, report.finding


def test_a_log_that_is_another_one_before_the_checkpoint_is_found(later: Later) -> None:
    other = Kept(Checkpoint(origin="ledger.test/v1/log", size=later.size, root=bytes(32)), "the checkpoint in kept")

    report = later.root.verify(since=other)

    assert (report.status, report.first_bad_position) == ("tampered", 1)


def test_a_log_shorter_than_the_checkpoint_is_found(later: Later) -> None:
    longer = Kept(
        Checkpoint(origin="ledger.test/v1/log", size=later.head + 7, root=bytes(32)), "the checkpoint in kept"
    )

    report = later.root.verify(since=longer)

    assert (report.status, report.first_bad_position) == ("tampered", later.head + 1)


def test_without_the_trees_hashes_nobody_can_tell(later: Later, desk: Desk) -> None:
    account_id = desk.open(recharged_minor=10_000)
    for _ in range(300):
        assert desk.deduct(account_id, 1).error is None
    sealed = seal(desk.engine, later._signer)
    assert sealed is not None
    later.root.run(sa.delete(schema.tree_hashes))
    checkpoint = Checkpoint(origin="ledger.test/v1/log", size=sealed.size, root=sealed.root)

    report = later.root.verify(since=Kept(checkpoint, "the checkpoint in kept"))

    assert report.status == "cannot tell" and "--since" in str(report.finding)
