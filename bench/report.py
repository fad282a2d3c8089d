"""What a benchmark says: rows of one table, and how the figures in them are summed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Row:
    """One line of the report; ``ratio`` is ours divided by the reference's, in the stated unit."""

    name: str
    ours: float
    reference: float
    unit: str
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.reference if self.reference else float("nan")


@dataclass(frozen=True)
class Timing:
    """Seconds of many repetitions."""

    samples: tuple[float, ...]

    @property
    def p50_ms(self) -> float:
        return median(self.samples) * 1000

    @property
    def p95_ms(self) -> float:
        return quantiles(self.samples, n=20)[-1] * 1000


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table."""
    lines = ["| what | ours | reference | ratio | note |", "|---|--:|--:|--:|---|"]
    for row in rows:
        figures = f"{row.ours:,.2f} {row.unit} | {row.reference:,.2f} {row.unit} | {row.ratio:.2f}"
        lines.append(f"| {row.name} | {figures} | {row.note} |")
    return "\n".join(lines)
