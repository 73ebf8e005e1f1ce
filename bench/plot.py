"""Bars as plain SVG: a median each, and a line from the lowest to the highest."""

from statistics import median
from xml.sax.saxutils import escape

WIDTH, LABEL, BAR, GAP, TOP = 720, 230, 20, 10, 44


def bars(title, unit, rows, ours="Reelhouse"):
    """`rows` are names and their values."""
    most = max(max(values) for _, values in rows) or 1
    scale = (WIDTH - LABEL - 90) / most
    height = TOP + len(rows) * (BAR + GAP) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
           f'font-family="sans-serif" font-size="13">', f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
           f'<text x="10" y="24" font-size="15" font-weight="bold">{escape(title)}, {escape(unit)}</text>']
    for n, (name, values) in enumerate(rows):
        y, middle = TOP + n * (BAR + GAP), median(values)
        colour = "#2a7f8f" if name.startswith(ours) else "#b9c4cb"
        out.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        out.append(f'<rect x="{LABEL}" y="{y}" width="{middle * scale:.1f}" height="{BAR}" fill="{colour}"/>')
        low, high = LABEL + min(values) * scale, LABEL + max(values) * scale
        out.append(f'<path d="M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 6}v8M{high:.1f} {y + 6}v8" stroke="#333"/>')
        out.append(f'<text x="{max(high, LABEL + middle * scale) + 6:.1f}" y="{y + 15}">{shown(middle)}</text>')
    return "\n".join([*out, "</svg>", ""])


def shown(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
