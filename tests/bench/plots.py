"""One bar chart a row, as SVG: a bar for each contestant, of the figure the row is about, with the span of its runs."""
import statistics
from xml.sax.saxutils import escape

from report import FIGURES

_WIDTH, _LABEL, _BAR, _STEP, _TOP = 720, 110, 360, 26, 52


def _bar(y, name, values, scale, show):
    middle = statistics.median(values)
    colour = "#1f77b4" if name == "syncline" else "#b0b0b0"
    low, high = (_LABEL + value * scale for value in (min(values), max(values)))
    return (f'<text x="{_LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LABEL}" y="{y}" width="{max(1.0, middle * scale):.1f}" height="18" fill="{colour}"/>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 9}" y2="{y + 9}" stroke="black"/>'
            f'<text x="{max(high, _LABEL + middle * scale) + 6:.1f}" y="{y + 13}">{escape(show(middle))}</text>')


def svg_of(results):
    """None for a row without figures."""
    row = results.row
    label, show, more = FIGURES[row.key]
    bars = [(name, values) for name in row.contestants if (values := results.values(name, row.key))]
    most = max((max(values) for _, values in bars), default=0)
    if most <= 0:
        return None
    height = _TOP + _STEP * len(bars) + 8
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
             'font-size="13">',
             '<rect width="100%" height="100%" fill="white"/>', f'<text x="10" y="20">{escape(row.title())}</text>',
             f'<text x="10" y="40" fill="#555">{escape(label)}: {"more" if more else "less"} is better</text>']
    parts += [_bar(_TOP + _STEP * i, name, values, _BAR / most, show) for i, (name, values) in enumerate(bars)]
    return "\n".join(parts + ["</svg>", ""])


def write_all(all_results, directory):
    for results in all_results:
        if svg := svg_of(results):
            (directory / f"{results.row.name}.svg").write_text(svg)
