"""The page as one ES module, made of the files in `view/` when it is first asked for.

A notebook's host takes a single module without imports of its own, and a person reads many small files. So
the files are joined in the order in which they need each other: the lines that import from one another and
the word `export` are left out. What two files call by one name would clash, which the module's first load
tells.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from ..version import __version__

FOLDER = Path(__file__).parent / "view"
MAIN = "main.js"
VERSION_MARK = "%VIEW_VERSION%"
_IMPORT = re.compile(r'^import\s+(?:\{[^}]*\}\s+from\s+)?"(\.[\w./-]+)";[ \t]*\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


@cache
def module_source() -> str:
    """Returns the page's module, which exports `default { render }` as anywidget asks for.

    It knows its version, by which it is told that a studio of another one answers.
    """
    return _joined_view().replace(VERSION_MARK, view_version())


@cache
def _joined_view() -> str:
    return joined(FOLDER, MAIN)


@cache
def style_source() -> str:
    """Returns the page's style sheet."""
    return (FOLDER / "style.css").read_text(encoding="utf-8")


@cache
def page_source() -> str:
    """Returns the HTML around the module, for a browser."""
    return (FOLDER / "page.html").read_text(encoding="utf-8")


@cache
def host_source() -> str:
    """Returns the module that gives the page's module a server to talk to, as a notebook's host would."""
    return (FOLDER / "page_host.js").read_text(encoding="utf-8")


@cache
def view_version() -> str:
    """Returns what tells this page from those of other versions."""
    text = _joined_view() + style_source() + host_source()
    return f"{__version__}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def joined(folder: Path, main: str) -> str:
    """Returns a module and those that it imports as one.

    Args:
        folder: Where they lie.
        main: The one to begin at.

    Raises:
        ValueError: If two import each other.
    """
    made: list[str] = []
    under_way: list[Path] = []
    done: set[Path] = set()

    def add(file: Path) -> None:
        if file in done:
            return
        name = file.relative_to(folder.resolve()).as_posix()
        if file in under_way:
            users = (each.name for each in under_way)
            raise ValueError(f"{name} imports itself, by {' and '.join(users)}.")
        under_way.append(file)
        text = file.read_text(encoding="utf-8")
        for needed in _IMPORT.findall(text):
            add((file.parent / needed).resolve())
        under_way.pop()
        done.add(file)
        made.append(f"// {name}\n{_EXPORT.sub('', _IMPORT.sub('', text)).strip()}\n")

    add((folder / main).resolve())
    return "\n".join(made)
