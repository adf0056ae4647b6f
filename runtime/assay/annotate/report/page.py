"""The report as HTML: one file without scripts, which loads nothing. Every text of the data is escaped."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from assay.annotate.report.bins import Bin, Bins, Example
from assay.control_characters import escape_controls

__all__ = ["MOST_ERRORS", "Report", "render"]

MOST_ERRORS = 50
"""Errors that are listed."""

_MOST_CHARACTERS = 600  # of a text in an example

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .15rem .6rem .15rem 0; }
td.n { text-align: right; white-space: nowrap; } td.bar { width: 50%; }
td.bar div { background: #4a7ebb; height: .8rem; }
summary { cursor: pointer; }
blockquote { margin: .5rem 0 .5rem 1rem; padding-left: .6rem; border-left: 3px solid #ccc; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit; } .small { color: #666; }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd; } .small { color: #999; } }
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report shows.

    Attributes:
        title: The name of the output.
        facts: Names and values for the head.
        sections: The answers: labels or ranges, with examples.
        lengths: The lengths of the texts in characters.
        errors: Where rows without an answer are, and why; the first MOST_ERRORS.
        failed: How many there are in all.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Bins]
    lengths: Bins
    errors: Sequence[tuple[str, str]]
    failed: int


def render(report: Report) -> str:
    """Return the page."""
    title = _escape(report.title)
    facts = "".join(f"<tr><th>{_escape(name)}</th><td>{_escape(value)}</td></tr>" for name, value in report.facts)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1><table>{facts}</table>",
        *(_render_bins(section, empty=True) for section in report.sections),
        _render_bins(report.lengths, empty=False),
        _render_errors(report),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _render_bins(bins: Bins, *, empty: bool) -> str:
    """Return bars and examples. Without `empty`, bins before the first row and after the last are cut."""
    shown = bins.bins
    if not empty:
        filled = [place for place, each in enumerate(shown) if each.count]
        shown = shown[filled[0] : filled[-1] + 1] if filled else []
    most = max((each.count for each in shown), default=0)
    total = bins.total
    rows = "\n".join(_render_bar(each, most, total) for each in shown)
    examples = "\n".join(_render_examples(each) for each in shown if each.examples)
    return f"<h2>{_escape(bins.title)}</h2>\n<table>\n{rows}\n</table>\n{examples}"


def _render_bar(found: Bin, most: int, total: int) -> str:
    width = 100 * found.count / most if most else 0
    share = f"{found.count / total:.1%}" if total else ""
    return (
        f'<tr><td>{_escape(found.name)}</td><td class="n">{found.count:,}</td><td class="n">{share}</td>'
        f'<td class="bar"><div style="width: {width:.2f}%"></div></td></tr>'
    )


def _render_examples(found: Bin) -> str:
    quotes = "\n".join(map(_render_example, found.examples))
    return f"<details><summary>Examples of {_escape(found.name)}</summary>\n{quotes}\n</details>"


def _render_example(example: Example) -> str:
    texts = "".join(
        f'<div class="small">{_escape(field)}</div><pre>{_escape(_cut(text))}</pre>' for field, text in example.texts
    )
    answers = ", ".join(f"{_escape(name)} {_escape(value)}" for name, value in example.answers)
    return f'<blockquote>{texts}<div class="small">{_escape(example.where)}: {answers}</div></blockquote>'


def _render_errors(report: Report) -> str:
    if not report.failed:
        return ""
    rows = "\n".join(f"<tr><td>{_escape(where)}</td><td>{_escape(_cut(why))}</td></tr>" for where, why in report.errors)
    more = report.failed - len(report.errors)
    rest = f"<p>and {more:,} more: see the column error</p>" if more else ""
    return f"<h2>Rows without an answer: {report.failed:,}</h2>\n<table>\n{rows}\n</table>\n{rest}"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."


def _escape(text: str) -> str:
    """Return `text` as HTML; control characters, which could turn the direction of the page, as their escapes."""
    return html.escape("\n".join(escape_controls(line) for line in text.split("\n")))
