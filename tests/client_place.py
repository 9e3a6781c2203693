"""Where the client's tests happen."""

from __future__ import annotations

from dataclasses import dataclass

from orderledger.client import Client
from running_service import Service


@dataclass(frozen=True, slots=True)
class Place:
    """A running service, an administrator's key, and a customer and a product of it."""

    service: Service
    key: str
    customer_id: str

    def client(self, *urls: str, **more: object) -> Client:
        return Client(list(urls) or self.service.address, api_key=self.key, **more)  # type: ignore[arg-type]
