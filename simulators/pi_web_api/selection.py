"""`selectedFields`: which parts of an answer the caller wants.

Source: facts/historians.md 1.4: a semicolon list of dotted paths from the top of the document.
"""

from __future__ import annotations

from typing import Any

Tree = dict[str, "Tree"]
"""Wanted names at one level; an empty tree below a name wants all of it."""

VALUE_FIELDS = ("Timestamp", "UnitsAbbreviation", "Good", "Questionable", "Substituted", "Annotated", "Value")
"""Fields of a TimedValue in the order in which the server writes them (facts 1.5)."""


def read(text: str) -> Tree:
    """The tree of a selectedFields parameter; empty for none, which wants everything."""
    top: Tree = {}
    for path in filter(None, (part.strip() for part in text.split(";"))):
        level = top
        names = path.split(".")
        for depth, name in enumerate(names):
            if name in level and not level[name]:
                break  # all of it is wanted already
            level = level.setdefault(name, {})
            if depth == len(names) - 1:
                level.clear()
    return top


def pruned(document: Any, tree: Tree) -> Any:
    """The document with what the tree wants; lists are passed through."""
    if not tree:
        return document
    if isinstance(document, list):
        return [pruned(item, tree) for item in document]
    if isinstance(document, dict):
        return {name: pruned(part, tree[name]) for name, part in document.items() if name in tree}
    return document


def wants(tree: Tree, name: str) -> bool:
    """True where the caller wants this name at this level."""
    return not tree or name in tree


def below(tree: Tree, name: str) -> Tree:
    """The tree one level down; only for a name that is wanted."""
    return tree.get(name, {})


def value_fields(tree: Tree) -> tuple[str, ...]:
    """Fields of each TimedValue, by the tree at the level of a TimedValue."""
    return tuple(name for name in VALUE_FIELDS if wants(tree, name))
