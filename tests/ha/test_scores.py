"""The scores themselves: a line for each scenario."""

from ha.scores import Scores


def test_a_scenario_without_a_fault_has_no_recovery() -> None:
    scores = Scores()

    scores.add("quiet", acknowledged=5, lost=0, doubled=0)
    scores.add("killed writer", acknowledged=12, lost=0, doubled=0, recovery_s=3.25, note="two processes")

    assert [" ".join(line.split()) for line in scores.lines()] == [
        "scenario acknowledged lost doubled recovery",
        "quiet 5 0 0 -",
        "killed writer 12 0 0 3.2 s two processes",
    ]
