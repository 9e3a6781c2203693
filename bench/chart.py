"""A chart of a run as SVG: how the ledger compares with each baseline, and how its cost grows.

Text stays text. Colours are for light and dark pages alike: what a page behind it must not swallow is mid-tone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from bench.aims import Aim
from bench.growth import Curve, allowed, curves, growth
from bench.report import figure

BAR_PARTS = ("posting", "batch", "http")
WIDTH = 900
LABEL_WIDTH, VALUE_WIDTH = 400, 70
BAR, GAP, MARGIN, HEADING = 14, 6, 20, 42
PANEL_WIDTH, PANEL_HEIGHT, PANELS_A_ROW = 280, 210, 3
PLOT_LEFT, PLOT_TOP, PLOT_RIGHT, PLOT_BOTTOM = 52, 40, 12, 34
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a }
.heading { font-size: 15px; font-weight: 600 }
.small { font-size: 10px }
.bar { fill: #4c78a8 } .missed { fill: #b07a3e } .aim { stroke: #d1495b; stroke-width: 2 }
.line { fill: none; stroke: #4c78a8; stroke-width: 2 } .dot { fill: #4c78a8 }
.bound { fill: none; stroke: #8b949e; stroke-dasharray: 4 3 } .axis { stroke: #8b949e; stroke-width: 1 }
.defect { fill: none; stroke: #d1495b; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
 text { fill: #adb5bd } .bar, .dot { fill: #6ea0d0 } .line { stroke: #6ea0d0 }
}
"""


def chart(summaries: Sequence[dict[str, Any]], aims: Sequence[Aim]) -> str:
    """Return the SVG document of a run."""
    bars = list(_bars(summaries, aims))
    found = curves(summaries)
    body: list[str] = []
    top = MARGIN
    if bars:
        body += _bar_chart(bars, top)
        top += HEADING + len(bars) * (BAR + GAP) + MARGIN
    if found:
        body.append(
            _text(MARGIN, top + 15, "What one unit costs as there is more of it (both axes logarithmic)", "heading")
        )
        body.append(_text(MARGIN, top + 31, "dashed: what n log n allows, from the first point", "small"))
        top += HEADING + 8
        for index, curve in enumerate(found):
            row, column = divmod(index, PANELS_A_ROW)
            body += _panel(curve, MARGIN + column * (PANEL_WIDTH + 10), top + row * PANEL_HEIGHT)
        top += math.ceil(len(found) / PANELS_A_ROW) * PANEL_HEIGHT
    height = top + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="Throughput beside other ways, and growth">\n<style>{STYLE}</style>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _bars(summaries: Sequence[dict[str, Any]], aims: Sequence[Aim]) -> Iterator[tuple[str, float, float | None]]:
    """Yield what is compared, the ratio, and the ratio that is aimed at."""
    wanted = {(aim.cell, aim.way): aim.at_least for aim in aims if aim.figure == "ratio"}
    for each in summaries:
        if each["part"] in BAR_PARTS:
            for way, figures in each["ways"].items():
                if figures.get("ratio"):
                    yield f"{each['name']} / {way}", figures["ratio"]["median"], wanted.get((each["name"], way))


def _bar_chart(bars: Sequence[tuple[str, float, float | None]], top: int) -> list[str]:
    longest = max(max(ratio, aim or 0.0) for _, ratio, aim in bars)
    scale = (WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH) / longest
    left = MARGIN + LABEL_WIDTH
    bottom = top + HEADING + len(bars) * (BAR + GAP)
    body = [
        _text(MARGIN, top + 15, "The ledger's rate to each other way's, in the same round; red: the aim", "heading"),
        _line(left + scale, top + HEADING - 6, left + scale, bottom, "axis"),
        _text(left + scale, top + HEADING - 9, "1", "small", "middle"),
    ]
    for index, (label, ratio, aim) in enumerate(bars):
        y = top + HEADING + index * (BAR + GAP)
        kind = "bar" if aim is None or ratio >= aim else "missed"
        body.append(_text(left - 8, y + 11, label, "", "end"))
        body.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{ratio * scale:.1f}" height="{BAR}"/>')
        if aim is not None:
            body.append(_line(left + aim * scale, y - 2, left + aim * scale, y + BAR + 2, "aim"))
        body.append(_text(left + max(ratio, aim or 0.0) * scale + 6, y + 11, f"{figure(ratio)}"))
    return body


def _panel(curve: Curve, left: int, top: int) -> list[str]:
    first, last = curve.points[0], curve.points[-1]
    bound = [(point.size, first.unit_us * allowed(first.size, point.size, curve.unit)) for point in curve.points]
    costs = [point.unit_us for point in curve.points] + [cost for _, cost in bound]
    # At least a decade, so that a flat curve looks flat.
    lowest, highest = min(costs) / 2, max(max(costs) * 2, min(costs) * 10)

    def place(size: float, cost: float) -> tuple[float, float]:
        width, height = PANEL_WIDTH - PLOT_LEFT - PLOT_RIGHT, PANEL_HEIGHT - PLOT_TOP - PLOT_BOTTOM
        across = math.log(size / first.size) / math.log(last.size / first.size)
        up = math.log(cost / lowest) / math.log(highest / lowest)
        return left + PLOT_LEFT + across * width, top + PLOT_TOP + (1 - up) * height

    measured = [place(point.size, point.unit_us) for point in curve.points]
    x, y = place(first.size, lowest)
    body = [
        _text(left, top + 14, curve.measure),
        _text(left, top + 28, f"µs for one of the {curve.unit}", "small"),
        _line(x, top + PLOT_TOP, x, y, "axis"),
        _line(x, y, left + PANEL_WIDTH - PLOT_RIGHT, y, "axis"),
        _path([place(size, cost) for size, cost in bound], "bound"),
        _path(measured, "defect" if growth(curve).is_defect else "line"),
    ]
    for point, (across, up) in zip(curve.points, measured, strict=True):
        body.append(f'<circle class="dot" cx="{across:.1f}" cy="{up:.1f}" r="3"/>')
        body.append(_text(across, up - 7, figure(point.unit_us), "small", "middle"))
        body.append(_text(across, y + 13, _short(point.size), "small", "middle"))
    body.append(_text(left + PANEL_WIDTH - PLOT_RIGHT, y + 26, curve.axis, "small", "end"))
    return body


def _short(size: int) -> str:
    for unit, letter in ((1_000_000, " M"), (1_000, " k")):
        if size >= unit:
            return f"{size / unit:g}{letter}"
    return str(size)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _path(places: Sequence[tuple[float, float]], kind: str) -> str:
    return f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'
