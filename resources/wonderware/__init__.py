"""AVEVA (Wonderware) Historian over TDS: the Runtime database as a Source. Facts: facts/historians.md part 2."""

from resources.wonderware.source import WonderwareSource

__all__ = ["WonderwareSource"]
