"""What every high-availability test shares: the marker, a long deadline, and the scores printed at the end.

A test asks for `scores` and adds a line for its scenario; `make test-ha` prints them together. Tests here start many
servers, so the ordinary suite leaves them out: everything in this folder is marked `ha` without saying so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ha.scores import Scores

_HERE = Path(__file__).parent
_TEST_S_MAX = 600
_SCORES = pytest.StashKey[Scores]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the scores where the end of the run finds them."""
    config.stash[_SCORES] = Scores()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and give it time."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.ha)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_TEST_S_MAX))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the scores below the results."""
    lines = config.stash[_SCORES].lines()
    if lines:
        terminalreporter.section("acknowledged, lost, doubled, recovery")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def scores(pytestconfig: pytest.Config) -> Scores:
    """Where a test says what became of its scenario."""
    return pytestconfig.stash[_SCORES]
