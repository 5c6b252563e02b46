"""Pages of the site that are made of the code: methods, the command line, notebooks.

MkDocs calls `on_files` and `on_post_build`. What is made here stands in no file, so it is not old.
"""

import argparse
import pathlib
import re
import shutil
import sys

import jupytext
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

DOCS = pathlib.Path(__file__).resolve().parent
ROOT = DOCS.parent
METHODS = ROOT / "bginv" / "methods"
HELP = {"-h", "--help", "--helpfull"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made of the code."""
    for path, text in made().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_build(*, config: MkDocsConfig) -> None:
    """Put each page's Markdown beside it, where `llms.txt` points."""
    site = pathlib.Path(config.site_dir)
    for path in DOCS.rglob("*.md"):
        shutil.copy(path, site / path.relative_to(DOCS))
    for path, text in made().items():
        (site / path).write_text(text, encoding="utf-8")


def made() -> dict[str, str]:
    """The pages that stand in no file of their own, by their paths in the site."""
    return {**methods(), **notebooks(), "command_line.md": command_line()}


def methods() -> dict[str, str]:
    """The README of each method, its links made those of the site."""
    pages = {}
    for path in sorted(METHODS.glob("*/README.md")):
        text = path.read_text(encoding="utf-8").replace("](../../../docs/", "](../")
        pages[f"methods/{path.parent.name}.md"] = text
    return pages


def notebooks() -> dict[str, str]:
    """Each notebook as a page: its text, and its code in blocks."""
    pages = {}
    for path in sorted((DOCS / "notebooks").glob("*.py")):
        book = jupytext.read(path, fmt="py:percent")
        cells = [
            cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
            for cell in book.cells
        ]
        name = f"docs/notebooks/{path.name}"
        hint = (
            f"`python {name}` runs this page; `jupytext --to ipynb {name}` makes a notebook of it."
        )
        title, *rest = cells
        pages[f"notebooks/{path.stem}.md"] = "\n\n".join([title, hint, *rest]) + "\n"
    return pages


def command_line() -> str:
    """Every command and option, as the parsers have them."""
    parsers = parsers_of_commands()
    lines = ["# Command line", "", "`bginv COMMAND --help` tells the same.", ""]
    lines += ["| command | what |", "|---|---|"]
    lines += [
        f"| [`{name}`](#{name}) | {_cell(own.description)} |" for name, own in parsers.items()
    ]
    for name, parser in parsers.items():
        lines += ["", f"## {name}", "", f"{_cell(parser.description)}", ""]
        lines += ["```", parser.usage or "", "```"]
        for group in parser._action_groups:
            lines += _table(group)
    return "\n".join(lines) + "\n"


def parsers_of_commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each subcommand of `bginv`."""
    sys.path.insert(0, str(ROOT))
    from bginv import cli

    (commands,) = (
        action
        for action in cli._whole_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(commands.choices)


def _table(group: argparse._ArgumentGroup) -> list[str]:
    """The options of a group as a table; nothing where there are only those of help."""
    actions = [
        action
        for action in group._group_actions
        if action.help != argparse.SUPPRESS and not HELP & {*action.option_strings}
    ]
    if not actions:
        return []
    lines = ["", f"**{(group.title or '').capitalize()}**", "", "| | what |", "|---|---|"]
    for action in actions:
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
        takes = "" if not action.option_strings or action.nargs == 0 else _values(action)
        lines.append(f"| {names}{takes} | {_cell(action.help)} |")
    return lines


def _values(action: argparse.Action) -> str:
    if action.choices:
        return " " + ", ".join(f"`{choice}`" for choice in action.choices)
    return f" `{action.metavar}`" if action.metavar else ""


def _cell(text: str | None) -> str:
    """A text as a table may hold it."""
    text = re.sub(r"\s+", " ", (text or "").replace("%%", "%"))
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").strip()
