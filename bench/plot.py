"""Plots as SVG, written by hand: bars with whiskers, in groups along the bottom, and curves over n; medians with least and most."""
import html
import math

COLOURS = {"null": "#9aa0a6", "bulkhead": "#1a73e8", "postfix": "#e8710a", "exim": "#12a150", "opensmtpd": "#9334e6"}
OTHER = "#5f6368"
BAR, GAP, LEFT, TOP, HEIGHT, BOTTOM = 26, 22, 74, 48, 260, 40
CURVES_WIDTH, LEGEND_WIDTH = 420, 150
CURVE_COLOURS = ["#1a73e8", "#e8710a", "#12a150", "#9334e6"]


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


def frame(width, title, scale, colours, legend_width):
    """What is behind any plot: title, legend (name -> colour), the vertical scale."""
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + HEIGHT + BOTTOM}" font-family="sans-serif" fill="#202124">',
             '<rect width="100%" height="100%" fill="#fff"/>', text(LEFT, 18, title + (" (logarithmic)" if scale.log else ""), "start", 14)]
    for n, (name, colour) in enumerate(colours.items()):
        x = LEFT + legend_width * n
        lines += [f'<rect x="{x}" y="26" width="10" height="10" fill="{colour}"/>', text(x + 14, 35, name, "start")]
    for tick in scale.ticks():
        y = TOP + HEIGHT * (1 - scale.at(tick))
        lines += [f'<path d="M{LEFT} {y:.1f}H{width - GAP}" stroke="#dadce0"/>', text(LEFT - 6, y + 4, short(tick), "end")]
    return lines


def bars(path, title, groups, series, values):
    """values: (group, series) -> (median, least, most); what is missing has no bar."""
    width = LEFT + sum(GAP + BAR * len(series) for _ in groups) + GAP
    width = max(width, LEFT + 120 * len(series))
    scale = Scale([v for three in values.values() for v in three] or [1])
    lines = frame(width, title, scale, {name: COLOURS.get(name, OTHER) for name in series}, 120)
    x = LEFT + GAP
    for group in groups:
        lines.append(text(x + BAR * len(series) / 2, TOP + HEIGHT + 18, group))
        for name in series:
            if (group, name) in values:
                lines += bar(x, scale, values[group, name], COLOURS.get(name, OTHER), name)
            x += BAR
        x += GAP
    path.write_text("\n".join(lines) + "\n</svg>\n")


def curve(points, across, scale, colour):
    """A line through the medians; a whisker and a dot at each."""
    places = [(LEFT + across(n), *(TOP + HEIGHT * (1 - scale.at(v)) for v in three)) for n, *three in points]
    lines = [f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in places)}" stroke="{colour}" fill="none" stroke-width="2"/>']
    for (_, median, *_), (x, y, low, high) in zip(points, places):
        lines += [f'<path d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8" stroke="#202124" fill="none"/>',
                  f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>', text(x + 6, y - 5, short(median), "start", 9)]
    return lines


def curves(path, title, unit, series):
    """series: name -> [(n, median, least, most)]. n goes by its logarithm, with 0 at the left edge; a difference that came out below 0 is shown as 0."""
    series = {name: [(n, *(max(0, v) for v in three)) for n, *three in points] for name, points in series.items()}
    found = sorted({n for points in series.values() for n, *_ in points})
    least, most = max(1, min((n for n in found if n), default=1)), max(2, *found)
    room = CURVES_WIDTH - 4 * GAP

    def across(n):
        if n == 0:
            return GAP
        return 2 * GAP + room * (math.log(n / least) / math.log(most / least) if most > least else 0.5)

    scale = Scale([v for points in series.values() for _, *three in points for v in three])
    width = LEFT + max(CURVES_WIDTH, LEGEND_WIDTH * len(series)) + GAP
    colours = {name: CURVE_COLOURS[at % len(CURVE_COLOURS)] for at, name in enumerate(series)}
    lines = frame(width, title, scale, colours, LEGEND_WIDTH)
    lines += [text(LEFT + across(n), TOP + HEIGHT + 16, short(n)) for n in found] + [text(LEFT + CURVES_WIDTH / 2, TOP + HEIGHT + 32, unit)]
    for name, points in series.items():
        lines += curve(points, across, scale, colours[name])
    path.write_text("\n".join(lines) + "\n</svg>\n")
