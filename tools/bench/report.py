"""Tables of what was measured: for a terminal, for the README, as JSON."""
import dataclasses
from dataclasses import dataclass, field

from judge import MISSED, MET, NOISY, Summary, distance, judge


@dataclass
class Row:
    """Figures of several programs, and the one that is judged: by default a ratio."""
    what: str
    unit: str
    figures: dict  # {program: Summary}
    judged: Summary | None = None
    limit: float | None = None
    judged_unit: str = "×"
    key: tuple = field(default=())  # by which a plot finds it

    @property
    def verdict(self):
        return judge(self.judged, self.limit) if self.judged else ""

    @property
    def is_calm(self):
        """Whether enough calm rounds remain of each of its figures."""
        return all(summary.calm for summary in (*self.figures.values(), self.judged) if summary)


@dataclass
class Table:
    title: str
    columns: tuple  # of programs
    rows: list


def number(value):
    """Three digits that count, no more, and at most three decimals."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def quantity(summary, unit):
    """A figure, or the range where it is none; of one round that was disturbed there is none, either. It says if it is noisy."""
    text = number(summary.median)
    if not summary.steady:
        text = "about " + text if summary.low == summary.high else f"{number(summary.low)} to {number(summary.high)}"
    return f"{text} {unit}".rstrip() + ("" if summary.calm else f", {NOISY}")


def verdict_words(row):
    return {MISSED: f"missed, {distance(row.judged, row.limit)}" if row.limit else ""}.get(row.verdict, row.verdict)


def judged_cells(row):
    judged = quantity(row.judged, row.judged_unit) if row.judged else ""
    limit = f"≤ {number(row.limit)} {row.judged_unit}".rstrip() if row.limit is not None else ""
    return [judged, limit, verdict_words(row)]


def lines(table):
    """The table as lists of cells, its head first; what is judged is left out where nothing is."""
    is_judged = any(row.judged for row in table.rows)
    found = [[table.title, *table.columns, *(["judged", "target", ""] if is_judged else [])]]
    for row in table.rows:
        figures = [quantity(row.figures[name], row.unit) if name in row.figures else "" for name in table.columns]
        found.append([row.what, *figures, *(judged_cells(row) if is_judged else [])])
    return found


def as_text(table):
    rows = lines(table)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def as_markdown(table):
    head, *rows = lines(table)
    rule = ["---"] + ["---" if name == "" else "--:" for name in head[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def as_json(tables):
    return [{"title": table.title,
             "rows": [{**dataclasses.asdict(row), "verdict": row.verdict} for row in table.rows]} for table in tables]


def exit_code(tables):
    """0: every target met; 1: one missed, whatever else; 3: none missed, but something cannot be told on this machine."""
    rows = [row for table in tables for row in table.rows]
    if any(row.verdict == MISSED for row in rows):
        return 1
    return 3 if any(row.verdict == NOISY or not row.is_calm for row in rows) else 0


def summary_line(tables):
    rows = [row for table in tables for row in table.rows]
    verdicts = [row.verdict for row in rows]
    said = [f"{verdicts.count(verdict)} {word}" for verdict, word in
            ((MET, "targets met"), (MISSED, "missed"), (NOISY, "that cannot be told"))]
    return ", ".join([*said, f"{sum(not row.is_calm for row in rows)} of {len(rows)} rows with noisy figures"])


BEGIN, END = "<!-- what tools/bench/run --write measured -->\n", "<!-- until here -->\n"


def between_marks(page, text):
    """The page with this text between its marks."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page has no place for the table: {BEGIN!r} and {END!r}, once each")
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n" + text.strip("\n") + "\n\n" + END + rest.partition(END)[2]


def as_page(tables, notes, pictures):
    """What the README says; pictures: {what it shows: its path}."""
    shown = [f"![{what}]({path})" for what, path in pictures.items()]
    return "\n\n".join([notes, *shown, *(as_markdown(table) for table in tables)])
