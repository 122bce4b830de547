"""Pictures of three of the tables' rows, for the README; the same bytes for the same figures."""
import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

from report import quantity
from servers import ROOT

FOLDER = ROOT / "tools/bench/plots"
COLOURS = {"promptd": "#1b6ca8", "bare evhttp": "#8a8a8a", "epoll loop": "#c9c9c9"}
OTHERS = "#c9c9c9"
STYLE = {"svg.hashsalt": "promptd", "svg.fonttype": "none", "font.size": 10, "axes.spines.top": False,
         "axes.spines.right": False, "figure.constrained_layout.use": True, "savefig.facecolor": "white"}


def rows_of(tables, first):
    """The rows whose key begins so."""
    return [row for table in tables for row in table.rows if row.key[:1] == (first,)]


def errors(summaries):
    """How far each range reaches below and above its median."""
    return [[s.median - s.low for s in summaries], [s.high - s.median for s in summaries]]


def label(summary, unit):
    """What the tables say of a figure, short where it is noisy: its range is drawn."""
    return quantity(summary, unit) if summary.calm else "noisy"


def draw_line(axes, numbers, summaries, name):
    """A program's figures over numbers, with their ranges."""
    axes.errorbar(numbers, [s.median for s in summaries], yerr=errors(summaries), marker="o", label=name, color=COLOURS[name])
    for number, summary in zip(numbers, summaries):
        if not summary.calm:
            axes.annotate("noisy", (number, summary.median), xytext=(6, -12), textcoords="offset points")


def plain_ticks(axes, numbers):
    """Each number that was measured at its place; thousands as k, or they touch."""
    axes.minorticks_off()
    axes.set_xticks(numbers, [f"{number // 1000}k" if number >= 1000 else f"{number}" for number in numbers])


def save(figure, name):
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / name, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return FOLDER / name


def plot_peers(tables):
    """CPU time of a request, as bars; a break in none of them, so that they can be compared by eye."""
    row, = rows_of(tables, "peers")
    names, summaries = list(row.figures), list(row.figures.values())
    figure, axes = pyplot.subplots(figsize=(6.5, 2.4))
    bars = axes.barh(names, [s.median for s in summaries], xerr=errors(summaries),
                     color=[COLOURS.get(name, OTHERS) for name in names])
    axes.bar_label(bars, [label(s, row.unit) for s in summaries], padding=6)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("CPU time of a GET of a prompt, µs")
    return save(figure, "peers.svg")


def plot_connections(tables):
    """CPU time of a request over connections."""
    rows = rows_of(tables, "connections")
    figure, axes = pyplot.subplots(figsize=(6.5, 2.6))
    for name in rows[0].figures:
        draw_line(axes, [row.key[1] for row in rows], [row.figures[name] for row in rows], name)
    axes.set_xscale("log")
    plain_ticks(axes, [row.key[1] for row in rows])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections")
    axes.set_ylabel("CPU time of a GET, µs")
    axes.legend(frameon=False)
    return save(figure, "connections.svg")


def plot_sizes(tables):
    """Time to ready, and memory, over the number of prompts."""
    figure, both = pyplot.subplots(1, 2, figsize=(6.5, 2.6))
    for axes, key, label in zip(both, ("ready", "resident"), ("exec to ready, ms", "resident memory, MB")):
        row, = rows_of(tables, key)
        sizes = [int(name.replace(",", "")) for name in row.figures]
        draw_line(axes, sizes, list(row.figures.values()), "promptd")
        axes.loglog()
        plain_ticks(axes, sizes)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("prompts of 1 KB")
        axes.set_ylabel(label)
    return save(figure, "sizes.svg")


def plot(tables):
    """Draw all, and return {what it shows: its file}."""
    with matplotlib.rc_context(STYLE):
        return {"CPU time of a request, of promptd and its peers": plot_peers(tables),
                "Time to ready and memory over the number of prompts": plot_sizes(tables),
                "CPU time of a request over the number of connections": plot_connections(tables)}
