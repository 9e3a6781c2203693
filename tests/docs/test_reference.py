"""Documentation and code say the same: settings, events, errors, routes, the worked example."""

import json
import re
from pathlib import Path

import pytest

from api.application import AREAS
from api.problems import CATALOGUE
from ledger.directory.permissions import PERMISSIONS
from ledger.errors import LedgerError
from ledger.events import EVENT_CLASSES
from ledger.leaf import LEAF_FIELDS, leaf_bytes, leaf_hash
from ledger.safety.checks import CATALOGUE as CATALOGUE_OF_CHECKS
from orderledger.command_line import group
from orderledger.reference import reference_table
from projections.catalogue import FOLDS

pytestmark = pytest.mark.docs
ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
ONLY_BY_THE_DOCTOR = {"database", "directory database", "redis", "nodes", "replicas", "sealing", "webhooks"}
"""Checks that api.doctor.unsafe_at_start leaves out, or that say whether a server answers."""


def shown(path: str) -> str:
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", path)


def text(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def test_every_setting_is_in_the_reference_with_its_default() -> None:
    assert reference_table() in text("settings.md"), "write the new table into docs/settings.md"


def test_every_event_is_described_with_exactly_its_fields() -> None:
    rows = dict(re.findall(r"^\| (`[a-z._`, ]+`) \| ([^|]+) \|", text("events.md").split("## Types")[1], re.MULTILINE))
    described = {
        name: set() if "nothing" in listed else {each.strip(" `?") for each in listed.split(",")}
        for names, listed in rows.items()
        for name in re.findall(r"`([a-z._]+)`", names)
        if name in EVENT_CLASSES
    }

    wanted = {name: set(event_class.__slots__) for name, event_class in EVENT_CLASSES.items()}
    assert described == wanted


def test_the_worked_example_hashes_to_what_it_says() -> None:
    example = re.search(r"```json\n(.*?)```\n\n`leaf_hash` = `([0-9a-f]{64})`", text("events.md"), re.DOTALL)
    assert example is not None
    content = json.loads(example[1])
    content["event_id"] = bytes.fromhex(content["event_id"])
    content |= {name: content[name].encode() for name in ("idempotency_key", "data", "postings")}

    assert leaf_hash(leaf_bytes(*(content[name] for name in LEAF_FIELDS))).hex() == example[2]


def test_the_leafs_fields_are_listed_in_their_order() -> None:
    assert ", ".join(LEAF_FIELDS) in " ".join(text("events.md").split())


def test_every_check_is_described_with_what_a_start_does_about_it() -> None:
    listed = dict(re.findall(r"^\| ([a-z -]+) \| (refused|warning|doctor only) \|", text("doctor.md"), re.MULTILINE))

    assert listed == {
        check.name: "refused" if check.refuses else "doctor only" if check.name in ONLY_BY_THE_DOCTOR else "warning"
        for check in CATALOGUE_OF_CHECKS
    }


def test_every_error_code_is_listed_with_its_status() -> None:
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", text("errors.md"), re.MULTILINE))

    # Branches of the tree have no code of their own; what falls back to them is `internal`.
    named = {error: entry for error, entry in CATALOGUE.items() if error.code != "internal" or error is LedgerError}
    coded = {error.code: str(entry.status) for error, entry in named.items()}
    assert listed == coded


def test_every_route_is_listed_with_its_permission() -> None:
    listed = set(
        re.findall(r"^\| `([A-Z]+ [^`]+)` \| (?:`([a-z_.]+)`|anyone|any principal) \|", text("api.md"), re.MULTILINE)
    )

    declared = {
        (f"{route.method} {shown(route.path)}", permission)
        for area in AREAS
        for route in area.routes
        for permission in [route.permission if route.permission in PERMISSIONS else ""]
    }
    assert listed == declared


def test_the_readme_is_short_and_names_only_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) < 120

    for command in re.findall(r"orderledger ([a-z-]+)", readme):
        assert command in group.commands, command


def test_every_read_model_that_the_documents_rebuild_or_compare_exists() -> None:
    for document in DOCS.rglob("*.md"):
        for name in re.findall(r"projections (?:rebuild|diff) ([a-z]+)", document.read_text("utf-8")):
            assert name in FOLDS, f"{document.name} names {name}"


def test_every_file_that_the_documents_link_to_exists() -> None:
    for document in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
