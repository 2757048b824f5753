"""Line charts with logarithmic axes, two in a row, as SVG."""
import math
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 520, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 40
_COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"]


class _Axis:
    """Whole powers of ten around the values, on a stretch of pixels."""

    def __init__(self, values, begin, end):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))
        self.begin, self.end = begin, end

    def at(self, value):
        return self.begin + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self):
        return [10.0 ** power for power in range(self.low, self.high + 1)]


def _short(value):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _series(x, y, name, points, colour, row):
    line = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in points)
    dots = "".join(f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="3" fill="{colour}"/>' for a, b in points)
    key = _TOP + 14 + 16 * row
    return (f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'
            f'<rect x="{_LEFT + 10}" y="{key - 8}" width="10" height="8" fill="{colour}"/>'
            f'<text x="{_LEFT + 26}" y="{key}">{escape(name)}</text>')


def _chart(title, label, series):
    series = {name: [(a, b) for a, b in points if a > 0 and b > 0] for name, points in series.items()}
    series = {name: points for name, points in series.items() if points}
    parts = [f'<text x="{_LEFT}" y="24" font-weight="bold">{escape(title)}</text>']
    if not series:
        return "".join(parts)
    every = [point for points in series.values() for point in points]
    x = _Axis([a for a, _ in every], _LEFT, _WIDTH - _RIGHT)
    y = _Axis([b for _, b in every], _HEIGHT - _BOTTOM, _TOP)
    for value in y.ticks():
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y.at(value):.1f}" y2="{y.at(value):.1f}" stroke="#ddd"/>'
                     f'<text x="{_LEFT - 6}" y="{y.at(value) + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    for value in x.ticks():
        parts.append(f'<line x1="{x.at(value):.1f}" x2="{x.at(value):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#eee"/>'
                     f'<text x="{x.at(value):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{_short(value)}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">{escape(label)}</text>')
    parts += [_series(x, y, name, points, _COLOURS[row % len(_COLOURS)], row) for row, (name, points) in enumerate(series.items())]
    return "".join(parts)


def picture(charts):
    """charts: of each its title, the label of its x axis, and {name: [(x, y), ...]}."""
    rows = (len(charts) + 1) // 2
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * _WIDTH}" height="{rows * _HEIGHT}" font-family="sans-serif" '
             'font-size="12">', '<rect width="100%" height="100%" fill="white"/>']
    for place, (title, label, series) in enumerate(charts):
        parts.append(f'<g transform="translate({place % 2 * _WIDTH},{place // 2 * _HEIGHT})">{_chart(title, label, series)}</g>')
    return "\n".join(parts + ["</svg>", ""])
