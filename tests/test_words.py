"""Names are made of plain words, of proper names, and of the glossary's terms."""

import ast
import pathlib
import re

import bginv
from tests.conftest import ROOT

PACKAGE = pathlib.Path(bginv.__file__).parent
MOST_TERMS = 40


def glossary() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| ([^|]+) \|", text[text.index("## Glossary") :], re.MULTILINE)
    return [term for term in terms if term not in ("term", "---")]


def words_of_names() -> dict[str, str]:
    """Words of classes and public functions, and a place of each."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            public = isinstance(node, ast.ClassDef)
            public |= isinstance(node, ast.FunctionDef) and node in tree.body
            if not public or node.name.startswith("_"):
                continue
            for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", node.name):
                found.setdefault(word.lower(), f"{path.relative_to(PACKAGE)}: {node.name}")
    return found


def test_the_glossary_is_short_and_explains_each_term():
    terms = glossary()
    assert 10 < len(terms) <= MOST_TERMS
    assert terms == sorted(terms, key=str.lower)


def test_every_word_of_a_name_is_plain_or_in_the_glossary():
    terms = {word for term in glossary() for word in re.findall(r"\w+", term.lower())}
    listed = (ROOT / "tests" / "plain_words.txt").read_text(encoding="utf-8")
    plain = {word for line in listed.splitlines() if line[:1] != "#" for word in line.split()}
    words = words_of_names()
    strange = {
        word: place
        for word, place in words.items()
        if not {word, word.removesuffix("s"), word.removesuffix("es")} & (terms | plain)
    }
    assert not strange, "write these in plain words, or explain them in the glossary"
    unused = plain - words.keys()
    assert not unused, f"tests/plain_words.txt lists what no name has: {sorted(unused)}"
