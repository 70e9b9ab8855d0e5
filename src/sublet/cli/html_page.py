"""The frame of a page: one file with its style and script inside, and nothing fetched from anywhere.

Invariant: every word that comes from data is escaped before it stands in the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template


def template(name: str) -> str:
    """One of the package's own templates."""
    return files("sublet.cli").joinpath("templates", name).read_text(encoding="utf-8")


def fill(name: str, title: str, parts: Mapping[str, str]) -> str:
    """A whole page from the template `name`; `parts` are HTML already, `title` is text."""
    return Template(template(name)).substitute(
        parts, title=escape(title), style=template("page.css"), script=template("page.js")
    )


def element(tag: str, content: str, **attributes: str) -> str:
    """One element around `content` (HTML); attribute values are text, `class_` stands for class."""
    told = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{told}>{content}</{tag}>"


def cell(text: str, kind: str = "", value: object = None) -> str:
    """One cell of a table; `value` is what it is sorted by, where that is not its text."""
    attributes = {"class_": kind} if kind else {}
    if value is not None:
        attributes["data_value"] = str(value)
    return element("td", escape(text), **attributes)


def headings(names: Sequence[str], numbers: frozenset[str]) -> str:
    """The heading cells of a sortable table; those in `numbers` are set to the right."""
    return "".join(
        element("th", element("button", escape(name), type="button"), scope="col", class_="number")
        if name in numbers
        else element("th", element("button", escape(name), type="button"), scope="col")
        for name in names
    )


def bullets(sentences: Iterable[str], kind: str) -> str:
    """A list of sentences; empty where there are none."""
    items = "".join(element("li", escape(sentence)) for sentence in sentences)
    return element("ul", items, class_=kind) if items else ""


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, as a description list."""
    return element("dl", "".join(element("dt", escape(a)) + element("dd", escape(b)) for a, b in rows))


def bars(parts: Iterable[tuple[str, float, str]]) -> str:
    """Shares of a whole as bars: name, share from 0 to 1, what to print beside the bar."""
    rows = "".join(
        element("span", escape(name))
        + f'<span><div style="width:{max(100 * share, 0.3):.1f}%"></div>{escape(said)}</span>'
        for name, share, said in parts
    )
    return element("div", rows, class_="bar")
