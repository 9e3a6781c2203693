"""Every error's answer: RFC 9457 problem documents, and the one table from error class to status.

`CATALOGUE` is the reference that docs/errors.md is tested against. Amounts leave here as decimal text, never in minor
units; nothing of a database, a path or a traceback leaves here at all.

Source: RFC 9457.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api import errors as requests
from api.cursors import InvalidCursor
from ledger import errors
from ledger.directory import errors as directory
from ledger.errors import LedgerError
from ledger.exporting.writing import ExportRefused
from ledger.money import Currency, format_amount
from ledger.money import currency as known_currency

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:orderledger:problem:"


@dataclass(frozen=True, slots=True)
class Entry:
    """How an error is answered.

    Status, title, what the caller should do, and its message when amounts must be worded.
    """

    status: int
    title: str
    remedy: str
    retryable: bool = False
    detail: str | None = None


CATALOGUE: dict[type[LedgerError], Entry] = {
    # -- branches: what a class without an entry of its own falls back to --
    errors.Refused: Entry(409, "Refused", "Change the command; the refusal is final for its key."),
    errors.Conflict: Entry(409, "Conflict", "Read the object again, then decide."),
    errors.NotFound: Entry(404, "Not found", "Check the id."),
    errors.Unavailable: Entry(503, "Not available now", "Repeat after Retry-After, with the same key.", retryable=True),
    requests.RequestError: Entry(400, "Bad request", "Correct the request."),
    LedgerError: Entry(500, "Internal error", "Report the request_id; it is in the service's log."),
    # -- the request itself --
    requests.MalformedRequest: Entry(400, "Malformed request", "Send valid JSON and headers."),
    requests.IdempotencyKeyMissing: Entry(
        400, "Idempotency key missing", "Send an Idempotency-Key header, new for each new command."
    ),
    InvalidCursor: Entry(422, "Invalid cursor", "Start the list again without a cursor."),
    requests.Unauthenticated: Entry(401, "Not authenticated", "Send Authorization: Bearer <api key>, or log in."),
    requests.LoginFailed: Entry(401, "Login failed", "Check what was typed; an administrator can reset a password."),
    requests.SmsOff: Entry(501, "No SMS here", "Log in by password; an operator sets ORDERLEDGER_SMS_PROVIDER."),
    requests.WrongPassword: Entry(403, "Wrong password", "Type your present password."),
    requests.LoginTooOld: Entry(403, "Login too old", "Log in again by a code, then set the password."),
    requests.SessionNeeded: Entry(403, "Session needed", "Log in, and send the session's cookie instead of a key."),
    requests.CsrfTokenWrong: Entry(403, "CSRF token wrong", "Send the csrf_token of /v1/me as X-CSRF-Token."),
    requests.CrossSite: Entry(403, "Cross-site request", "Open the service's own page."),
    requests.TooManyTries: Entry(429, "Too many tries", "Wait as long as Retry-After says.", retryable=True),
    requests.Forbidden: Entry(403, "Not permitted", "Use a principal whose role has the permission."),
    requests.PathNotFound: Entry(404, "Not found", "See /openapi.json for the paths."),
    ExportRefused: Entry(422, "Not to be exported", "Read the detail; name a range that the log has."),
    requests.NotSealed: Entry(
        404,
        "Not sealed yet",
        "Ask again after some seconds; else look whether `orderledger doctor` finds a signing key.",
    ),
    requests.PositionNotFound: Entry(404, "Position not found", "Check the position."),
    requests.CommandNotFound: Entry(404, "No such outcome", "Nothing is stored under the key: send the command."),
    requests.MethodNotAllowed: Entry(405, "Method not allowed", "Use a method of the Allow header."),
    requests.BodyTooLarge: Entry(413, "Body too large", "Send less at once; batches stream as application/x-ndjson."),
    requests.TooManyCommands: Entry(413, "Too many commands", "Send the rest in another batch."),
    requests.TooManyRows: Entry(422, "Too many rows", "Narrow the search, or ask for CSV."),
    requests.TooManyEvents: Entry(
        422, "Too many events", "Begin later, name a customer, or run `orderledger audit what-if`."
    ),
    requests.UnsupportedMediaType: Entry(415, "Unsupported media type", "Send the documented Content-Type."),
    requests.InvalidFields: Entry(422, "Invalid fields", "Correct the fields listed under errors."),
    requests.NotFreshEnough: Entry(503, "Not fresh enough", "Repeat after Retry-After.", retryable=True),
    # -- what the rules refuse --
    errors.AccountNotFound: Entry(404, "Customer not found", "Open the customer first."),
    errors.AccountExists: Entry(409, "Customer exists", "Use the account that is there."),
    errors.AccountSuspended: Entry(409, "Account suspended", "Reactivate the account first."),
    errors.InsufficientFunds: Entry(
        409,
        "Insufficient funds",
        "Recharge the account, then send the command with a new key.",
        detail="{needed} {currency} is needed, {spendable} can be spent; recharge the account",
    ),
    errors.BalanceLimit: Entry(
        409, "Balance limit", "Recharge less.", detail="the balance would pass the limit of {limit} {currency}"
    ),
    errors.CreditLimitInUse: Entry(
        409,
        "Credit in use",
        "Recharge the account first, or set a higher limit.",
        detail="{used} {currency} of credit is in use; the limit cannot be lower",
    ),
    errors.AmountOutOfRange: Entry(
        422,
        "Amount out of range",
        "Order another quantity.",
        detail="the amount would be {amount} {currency}; it must be more than zero and at most {limit}",
    ),
    errors.ProductNotFound: Entry(404, "Product not found", "Check the sku; the product must be on sale."),
    errors.QuantityOutOfRange: Entry(422, "Quantity out of range", "Order within the product's quantities."),
    errors.CurrencyMismatch: Entry(422, "Currency mismatch", "Use the account's currency."),
    errors.OrderNotFound: Entry(404, "Order not found", "Check the order's id."),
    errors.OrderExists: Entry(409, "Order exists", "Place the order with a new key."),
    errors.OrderNotCancellable: Entry(
        409, "Order not cancellable", "The order has ended or was delivered; nothing is left to cancel."
    ),
    errors.OrderInWrongStatus: Entry(409, "Order in another status", "Read the order; the step needs another status."),
    errors.StaleAttempt: Entry(409, "Stale attempt", "Another runner has the order; leave it."),
    errors.DeliveredOutOfRange: Entry(
        422, "Delivered out of range", "Say how much was delivered, at most what was ordered."
    ),
    errors.TransactionNotReversible: Entry(409, "Not reversible", "Only recharges and deductions can be reversed."),
    errors.AlreadyReversed: Entry(409, "Already reversed", "Nothing is left to do."),
    errors.BatchRefused: Entry(
        409, "Batch refused", "Correct the command that was refused, then send the batch with new keys."
    ),
    errors.IdempotencyKeyReused: Entry(422, "Idempotency key reused", "Take a new key for a new command."),
    errors.BadMoney: Entry(422, "Not a valid decimal", 'Send a plain decimal string such as "12.50".'),
    # -- the directory --
    directory.DirectoryNotFound: Entry(404, "Not found", "Check the id."),
    directory.AlreadyExists: Entry(409, "Already exists", "Choose another name, or change the object that has it."),
    directory.InUse: Entry(409, "In use", "Remove what still needs the object first."),
    directory.RevisionMismatch: Entry(412, "Changed meanwhile", "Read the object again and repeat with its new ETag."),
    directory.BadField: Entry(422, "Invalid fields", "Correct the field."),
    directory.BadListing: Entry(422, "Invalid fields", "Correct the parameters."),
    directory.BadListCursor: Entry(400, "Bad cursor", "Start the list again without a cursor."),
    # -- not now, or our fault --
    errors.NothingRecorded: Entry(
        503, "Not available now", "Nothing was recorded: repeat after Retry-After.", retryable=True
    ),
    errors.OutcomeUnknown: Entry(503, "Outcome unknown", "Repeat with the same key; that settles it.", retryable=True),
    errors.ReadUnavailable: Entry(503, "Not available now", "Repeat after Retry-After.", retryable=True),
    errors.CorruptLog: Entry(500, "Corrupt log", "Stop and call the operator; run `orderledger audit verify`."),
    errors.Undecidable: Entry(500, "Internal error", "Report the request_id; nothing was recorded."),
}


def entry_of(error: LedgerError) -> Entry:
    """Return the table's entry for an error: its class's, else the nearest branch's."""
    return next(CATALOGUE[each] for each in type(error).__mro__ if each in CATALOGUE)


def problem(error: LedgerError, request_id: str, currency: Currency) -> dict[str, Any]:
    """Return the error's problem document. `currency` words amounts whose error does not say theirs."""
    entry = entry_of(error)
    fields = error.fields()
    if any(name.endswith("_minor") for name in fields) and "currency" in fields:
        currency = known_currency(fields["currency"])
    fields = worded(fields, currency)
    listed = fields.pop("errors", None)
    document: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": entry.title,
        "status": entry.status,
        "detail": str(error) if entry.detail is None else entry.detail.format(**({"currency": currency.code} | fields)),
        "code": error.code,
        "retryable": entry.retryable,
        "request_id": request_id,
    }
    if isinstance(error, directory.BadField):
        listed = [requests.FieldError(pointer=error.pointer, detail=error.problem)]
    if isinstance(error, directory.BadListing):
        listed = [requests.FieldError(parameter=each.parameter, detail=each.problem) for each in error.problems]
    if listed is not None:
        document["errors"] = [each.to_json() if isinstance(each, requests.FieldError) else each for each in listed]
    if isinstance(error, requests.RequestError | directory.BadField | directory.BadListing) or entry.status >= 500:
        return document
    return fields | document


def headers(error: LedgerError) -> dict[str, str]:
    """Return the headers that belong to an error's answer."""
    found: dict[str, str] = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        found["Retry-After"] = str(retry_after_s)
    if isinstance(error, requests.Unauthenticated):
        found["WWW-Authenticate"] = 'Bearer realm="orderledger"'
    return found


def worded(fields: Mapping[str, Any], currency: Currency) -> dict[str, Any]:
    """Return an error's fields with amounts as decimal text under their names without `_minor`."""
    return {
        name.removesuffix("_minor"): format_amount(value, currency) if name.endswith("_minor") else value
        for name, value in fields.items()
    }
