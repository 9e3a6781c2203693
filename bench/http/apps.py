"""The servers that the ledger's API is measured beside, each one a Flask or Django application on granian.

`python -m bench.http.apps WAY PORT` serves one with the workers and threads of the environment; BENCH_URL is its
database.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from flask import Flask, Response, request
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from api.schemas import MoneyBody
from bench.ways import AMOUNT_MINOR, Way, open_way

MINOR_PER_MAJOR = 100
BACKLOG = 1_024
JSON = "application/json"


def main() -> None:
    """Serve until a signal."""
    way, port = sys.argv[1:]
    Granian(
        f"bench.http.apps:{way}_app",
        port=int(port),
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=int(os.environ["BENCH_WORKERS"]),
        blocking_threads=int(os.environ["BENCH_THREADS"]),
        backlog=BACKLOG,
        log_level=LogLevels.warning,
        factory=True,
        websockets=False,
    ).serve()


def flask_app() -> Flask:
    """Return an application that answers, and nothing else."""
    app = Flask("bench")
    body = json.dumps(frame("cus_0", "0.01", None))
    app.add_url_rule(
        "/v1/customers/<customer>/deductions",
        "post",
        lambda customer: Response(body, 201, mimetype=JSON),
        methods=["POST"],
    )
    return app


def validation_app() -> Flask:
    """Return an application that reads the body, validates it with the ledger's own schema, and answers as much."""
    app = Flask("bench")
    schema = MoneyBody()

    def post(customer: str) -> Response:
        content = schema.load(request.get_json())
        return Response(json.dumps(frame(customer, content["amount"], content["reference"])), 201, mimetype=JSON)

    app.add_url_rule("/v1/customers/<customer>/deductions", "post", post, methods=["POST"])
    return app


def orm_app() -> Flask:
    """Return an application that posts by a SQLAlchemy session."""
    app = Flask("bench")
    way = _way("orm")

    def post(customer: str) -> Response:
        body = _posted(way, customer, request.get_json(), request.headers["Idempotency-Key"])
        return Response(body, 201, mimetype=JSON)

    def post_batch() -> Response:
        return Response(_posted_batch(way, request.get_json()), 200, mimetype=JSON)

    app.add_url_rule("/v1/customers/<customer>/deductions", "post", post, methods=["POST"])
    app.add_url_rule("/v1/batches", "post_batch", post_batch, methods=["POST"])
    return app


def django_app() -> Callable[..., Any]:
    """Return Django's application, without any middleware, which is as fast as it gets."""
    way = _way("django")
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    def post(asked: Any, customer: str) -> HttpResponse:
        body = _posted(way, customer, json.loads(asked.body), asked.headers["Idempotency-Key"])
        return HttpResponse(body, status=201, content_type=JSON, headers={"Content-Length": str(len(body))})

    settings.ALLOWED_HOSTS = ["*"]
    # Anything that can be hashed and iterated will do for a module of patterns.
    settings.ROOT_URLCONF = (path("v1/customers/<str:customer>/deductions", post),)
    return WSGIHandler()


def frame(customer: str, amount: str, reference: str | None) -> dict[str, Any]:
    """Return an answer as large as the ledger's."""
    return {
        "position": 123456,
        "type": "deduction.posted",
        "recorded_at": "2026-01-31T08:00:00.123456Z",
        "customer_id": customer,
        "amount": amount,
        "currency": "CNY",
        "reference": reference,
        "memo": None,
        "balance": {
            "available": "-123.45",
            "held": "0.00",
            "total": "-123.45",
            "currency": "CNY",
            "version": 1234,
            "position": 123456,
        },
    }


def _way(name: str) -> Way:
    return open_way(name, os.environ["BENCH_URL"], 0, int(os.environ["BENCH_THREADS"]))


def _posted(way: Way, customer: str, content: dict[str, Any], key: str) -> str:
    _ensure_measured(content["amount"])
    way.post(_number(customer), key)
    return json.dumps(frame(customer, content["amount"], content["reference"]))


def _posted_batch(way: Way, content: dict[str, Any]) -> str:
    commands = content["commands"]
    for each in commands:
        _ensure_measured(each["amount"])
    keys = [each["idempotency_key"] for each in commands]
    way.post_batch([_number(each["customer_id"]) for each in commands], keys)
    results = [
        {"status": 201, "idempotency_key": key, "result": frame(each["customer_id"], each["amount"], each["reference"])}
        for each, key in zip(commands, keys, strict=True)
    ]
    return json.dumps({"results": results})


def _ensure_measured(amount: str) -> None:
    if Decimal(amount) * MINOR_PER_MAJOR != AMOUNT_MINOR:
        raise ValueError("not the amount that is measured")


def _number(customer: str) -> int:
    return int(customer.removeprefix("cus_"), 16)


if __name__ == "__main__":
    main()
