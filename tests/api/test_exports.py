"""A search of orders as a table: all of it, exact, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
import zipfile
from typing import Any

import pytest
import redis

from projections import generations
from projections import search as order_search
from projections.redis_clients import open_redis
from proxy import proxied
from servers import PrivateRedis
from till import Till, new_key

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "https://example.org/")
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def placed(till: Till, *references: str) -> None:
    till.recharge("100000.00")
    commands = [
        {
            "type": "order",
            "idempotency_key": new_key(),
            "customer_id": till.customer_id,
            "product": "sms",
            "quantity": 10,
            "reference": each,
        }
        for each in references
    ]
    assert till.front.ask("POST", "batches", {"atomic": False, "commands": commands}).status_code == 200
    till.drain()


def table(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


def cells(content: bytes) -> list[dict[str, Any]]:
    """Return the sheet's cells by row, with their kinds, as the file has them."""
    book = zipfile.ZipFile(io.BytesIO(content))
    sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    return [
        {
            cell.get("r", "").rstrip("0123456789"): (cell.get("t"), "".join(cell.itertext()), cell.find(f"{SHEET}f"))
            for cell in row
        }
        for row in sheet.iter(f"{SHEET}row")
    ]


def test_an_export_has_every_order_of_the_search_in_its_order(sqlite_till: Till) -> None:
    placed(sqlite_till, *(f"INV-{number:04}" for number in range(1_200)))
    sqlite_till.place(500, reference="other")
    sqlite_till.drain()

    answer = sqlite_till.get("orders/export?format=csv&q=INV&sort=oldest")

    rows = table(answer.text)
    assert [each["reference"] for each in rows] == [f"INV-{number:04}" for number in range(1_200)]
    assert (rows[0]["amount"], rows[0]["currency"], rows[0]["customer_name"]) == ("0.90", "CNY", "王芳")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="orders.csv"'
    assert int(answer.headers["Ledger-Position"]) > 1_200


def test_an_export_that_cannot_go_on_is_no_shorter_one_but_unavailable(
    sqlite_till: Till, redis_server: PrivateRedis
) -> None:
    placed(sqlite_till, *(f"INV-{number:04}" for number in range(1_200)))
    client = sqlite_till.front.app.test_client()
    headers = {"Authorization": f"Bearer {sqlite_till.front.secret}"}
    asked: list[bytes] = []
    with proxied(str(redis_server.socket)) as proxy:
        reader = sqlite_till.front.services.redis = open_redis(f"redis://127.0.0.1:{proxy.port}/0")
        reader.ping()
        proxy.lose_answer_when = lambda chunk: asked.append(chunk) is not None
        whole = client.get("/v1/orders/export", headers=headers)
        all_asked = len(asked)
        asked.clear()

        proxy.lose_answer_when = lambda chunk: asked.append(chunk) is not None or len(asked) > all_asked * 2 // 3
        broken = client.get("/v1/orders/export", headers=headers)

    assert len(table(whole.text)) == 1_200
    assert int(whole.headers["Content-Length"]) == len(whole.data)
    assert (broken.status_code, broken.json["code"]) == (503, "unavailable")


def test_an_export_whose_read_model_goes_back_meanwhile_is_no_shorter_one_but_unavailable(
    sqlite_till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(sqlite_till, *(f"INV-{number:04}" for number in range(1_200)))
    search, pages = order_search.search, []
    live = generations.live(sqlite_till.front.services.redis, "orders")
    assert live is not None

    def replaced_after_the_first_page(client: redis.Redis, *asked: Any, **more: Any) -> Any:
        if len(pages) == 1:
            generations.start(client, "orders", instead_of=live.generation)
        pages.append(search(client, *asked, **more))
        return pages[-1]

    monkeypatch.setattr(order_search, "search", replaced_after_the_first_page)
    answer = sqlite_till.front.app.test_client().get(
        "/v1/orders/export", headers={"Authorization": f"Bearer {sqlite_till.front.secret}"}
    )

    assert [len(each.orders) for each in pages] == [500, 0]
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")


@pytest.mark.parametrize("text", FORMULAS)
def test_what_somebody_typed_is_text_in_a_spreadsheet(sqlite_till: Till, text: str) -> None:
    placed(sqlite_till, text)

    (row,) = table(sqlite_till.get("orders/export").text)
    _, line = cells(sqlite_till.get("orders/export?format=xlsx").data)

    assert row["reference"] == (text if text.startswith("h") else f"'{text}")
    assert ("inlineStr", text, None) in line.values()
    assert all(formula is None for _, _, formula in line.values())


def test_a_workbook_has_numbers_and_times_as_such(sqlite_till: Till) -> None:
    placed(sqlite_till, "a")

    head, line = cells(sqlite_till.get("orders/export?format=xlsx").data)

    by_name = {head[column][1]: value for column, value in line.items()}
    assert (by_name["quantity"][:2], by_name["amount"][:2]) == ((None, "10"), (None, "0.9"))
    assert by_name["placed_at (UTC)"][0] is None and float(by_name["placed_at (UTC)"][1]) > 40_000


def test_a_workbook_that_would_be_too_long_is_refused_and_csv_is_not(sqlite_till: Till) -> None:
    placed(sqlite_till, "a", "b", "c")
    services = sqlite_till.front.services
    object.__setattr__(services.settings, "export_rows_max", 2)

    refused = sqlite_till.get("orders/export?format=xlsx")

    assert (refused.status_code, refused.json["code"]) == (422, "too-many-rows")
    assert len(table(sqlite_till.get("orders/export").text)) == 3
    assert sqlite_till.get("orders/export?format=xlsx&reference=a").status_code == 200


def test_a_customer_exports_its_own_orders_only(sqlite_till: Till) -> None:
    placed(sqlite_till, "mine")
    other = sqlite_till.front.create("customers")["id"]

    own = sqlite_till.as_customer("orders.read").ask("GET", "orders/export")
    others = sqlite_till.front.bound_to(other, "orders.read").ask("GET", "orders/export")

    assert [each["reference"] for each in table(own.text)] == ["mine"]
    assert table(others.text) == []


@pytest.mark.parametrize("query", ["format=pdf", "limit=5", "cursor=x", "counts=true", "placed_from=now"])
def test_odd_exports_are_refused(sqlite_till: Till, query: str) -> None:
    sqlite_till.drain()
    assert sqlite_till.get(f"orders/export?{query}").status_code == 422
