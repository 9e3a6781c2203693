"""A client of the directory's routes, and the least that each kind of object is created from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from api.application import create_app
from api.services import Services
from ledger.directory.access import create_api_keys

GOOD: dict[str, dict[str, Any]] = {
    "customers": {"name": "王芳"},
    "levels": {"name": "Gold", "discount_percent": "90"},
    "products": {"sku": "sms", "name": "短信", "unit_price": "0.10", "executor": "simulated"},
    "roles": {"name": "cashier", "permissions": ["recharges.post"]},
    "api-keys": {"name": "till", "role": "operator"},
    "webhooks": {"url": "https://hooks.example.org/ledger"},
}
"""By path, the least that an object is created from."""
NAMES = {"webhooks": "description"}
"""What tells one object from another, where that is not its name."""
SECRETS = {"api-keys": "key", "webhooks": "secret"}
"""What is answered when an object is made, and never again."""


@dataclass(frozen=True, slots=True)
class Front:
    """A client of the API; `secret` is whom it asks as."""

    app: Flask
    services: Services
    secret: str

    def ask(
        self, method: str, path: str, body: Any = None, *, query: dict[str, str] | None = None, **headers: str
    ) -> TestResponse:
        sent = {"Authorization": f"Bearer {self.secret}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.app.test_client().open(f"/v1/{path}", method=method, json=body, query_string=query, headers=sent)
        assert answer.status_code < 500, answer.text
        return answer

    def create(self, path: str, **content: Any) -> dict[str, Any]:
        answer = self.ask("POST", path, {**GOOD[path], **content})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return made

    def create_many(self, path: str, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = self.ask("POST", f"{path}/bulk", contents)
        assert answer.status_code == 201, answer.text
        made: list[dict[str, Any]] = answer.json["data"]
        return made

    def read(self, path: str, object_id: str) -> dict[str, Any]:
        answer = self.ask("GET", f"{path}/{object_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        answer = self.ask("GET", path, query={"limit": "200", **query})
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json["data"]
        return data

    def bound_to(self, customer_id: str, *permissions: str) -> Front:
        role = self.create("roles", name=f"role of {customer_id}", permissions=list(permissions))
        key = self.create("api-keys", role=role["name"], customer_id=customer_id)
        return Front(self.app, self.services, key["key"])


def open_front(url: str, redis_url: str, **settings: str) -> Front:
    """Open an administrator's front on a migrated database."""
    more = {f"ORDERLEDGER_{name}": value for name, value in settings.items()}
    app = create_app({"ORDERLEDGER_DATABASE_URL": url, "ORDERLEDGER_REDIS_URL": redis_url, **more})
    services: Services = app.extensions["services"]()
    ((_, secret),) = create_api_keys(services.directory, [{"name": "root", "role": "admin"}])
    return Front(app, services, secret)
