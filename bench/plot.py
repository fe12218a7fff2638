"""Bars with whiskers as SVG, written by hand: groups along the bottom, a bar for each series in each group, medians with least and most."""
import html
import math

COLOURS = {"null": "#9aa0a6", "bulkhead": "#1a73e8", "postfix": "#e8710a", "exim": "#12a150", "opensmtpd": "#9334e6"}
OTHER = "#5f6368"
BAR, GAP, LEFT, TOP, HEIGHT, BOTTOM = 26, 22, 74, 48, 260, 40


def short(value):
    """Three digits, and k or M."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


class Scale:
    """Where a value is, from 0 at the bottom to 1; by its logarithm when the values are far apart."""

    def __init__(self, values):
        self.most = max(values) or 1
        least = min((v for v in values if v > 0), default=self.most)
        self.log = self.most / least > 30
        self.low = 10 ** math.floor(math.log10(least)) if self.log else 0

    def at(self, value):
        if not self.log:
            return value / (self.most * 1.05)
        return max(0.0, math.log(max(value, self.low) / self.low) / math.log(self.most * 1.3 / self.low))

    def ticks(self):
        if self.log:
            first, last = round(math.log10(self.low)), math.floor(math.log10(self.most * 1.3))
            return [10.0 ** n for n in range(first, last + 1)]
        step = 10 ** math.floor(math.log10(self.most))
        step = step / 5 if self.most / step < 2 else step / 2 if self.most / step < 5 else step
        return [n * step for n in range(int(self.most * 1.05 / step) + 1)]


def text(x, y, words, anchor="middle", size=11, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{more}>{html.escape(words)}</text>'


def bar(x, scale, value, colour, name):
    median, least, most = value
    top, low, high = (TOP + HEIGHT * (1 - scale.at(v)) for v in (median, least, most))
    middle = x + BAR / 2
    return [f'<rect x="{x:.1f}" y="{top:.1f}" width="{BAR - 3}" height="{TOP + HEIGHT - top:.1f}" fill="{colour}"><title>{html.escape(name)}</title></rect>',
            f'<path d="M{middle - 1.5:.1f} {low:.1f}V{high:.1f}M{middle - 5:.1f} {low:.1f}h7M{middle - 5:.1f} {high:.1f}h7" stroke="#202124" fill="none"/>',
            text(middle - 1.5, min(top, high) - 4, short(median), size=9)]


def bars(path, title, groups, series, values):
    """values: (group, series) -> (median, least, most); what is missing has no bar."""
    width = LEFT + sum(GAP + BAR * len(series) for _ in groups) + GAP
    width = max(width, LEFT + 120 * len(series))
    scale = Scale([v for three in values.values() for v in three] or [1])
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + HEIGHT + BOTTOM}" font-family="sans-serif" fill="#202124">',
             '<rect width="100%" height="100%" fill="#fff"/>', text(LEFT, 18, title + (" (logarithmic)" if scale.log else ""), "start", 14)]
    for n, name in enumerate(series):
        x = LEFT + 120 * n
        lines += [f'<rect x="{x}" y="26" width="10" height="10" fill="{COLOURS.get(name, OTHER)}"/>', text(x + 14, 35, name, "start")]
    for tick in scale.ticks():
        y = TOP + HEIGHT * (1 - scale.at(tick))
        lines += [f'<path d="M{LEFT} {y:.1f}H{width - GAP}" stroke="#dadce0"/>', text(LEFT - 6, y + 4, short(tick), "end")]
    x = LEFT + GAP
    for group in groups:
        lines.append(text(x + BAR * len(series) / 2, TOP + HEIGHT + 18, group))
        for name in series:
            if (group, name) in values:
                lines += bar(x, scale, values[group, name], COLOURS.get(name, OTHER), name)
            x += BAR
        x += GAP
    path.write_text("\n".join(lines) + "\n</svg>\n")
