"""What the project's files promise about each other: dependencies, targets, imports."""

from __future__ import annotations

import ast
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_INSTALLED = {"bench", "docs", "scripts", "tests"}


def configuration() -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(section: str, option: str) -> list[str]:
    return configuration()[section][option].split()


def normal_name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]).lower()


@pytest.mark.docs
@pytest.mark.parametrize(
    ("section", "option"),
    [
        ("options", "install_requires"),
        ("options.extras_require", "embedded"),
        ("options.extras_require", "tencent"),
        ("options.extras_require", "aliyun"),
        ("options.extras_require", "parquet"),
        ("options.extras_require", "otel"),
        ("options.extras_require", "dev"),
        ("options.extras_require", "bench"),
    ],
)
def test_every_dependency_has_the_version_it_was_tested_with(section: str, option: str) -> None:
    tested = {normal_name(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1].isalpha()}

    assert {normal_name(requirement) for requirement in lines(section, option)} <= tested


@pytest.mark.docs
def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    explained = set(re.findall(r"^([a-z-]+):.* ## \S", makefile, re.MULTILINE))

    assert explained == set(phony.split())


def test_every_package_is_installed_checked_and_has_its_place_among_the_layers() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NOT_INSTALLED

    assert {name.rstrip("*") for name in lines("options.packages.find", "include")} == packages
    assert set(lines("importlinter", "root_packages")) == packages
    assert set(re.findall(r"\w+", configuration()["importlinter:contract:layers"]["layers"])) == packages
    assert set(re.findall(r"\w+", configuration()["mypy"]["packages"])) == packages


def test_the_rules_import_only_the_standard_library_and_each_other() -> None:
    rules = set(lines("importlinter:contract:rules", "source_modules"))
    allowed = rules | sys.stdlib_module_names

    strangers = {
        f"{rule} imports {name}"
        for rule in rules
        for name in imported((ROOT / rule.replace(".", "/")).with_suffix(".py"))
        if name not in allowed and name.split(".")[0] not in sys.stdlib_module_names
    }

    assert strangers == set()


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "ledger":
            names |= {f"ledger.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names
