"""What became of the annotations of a span, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.screen import Screen

if TYPE_CHECKING:
    from pipelines.ports import AnnotationCounts

_SHOWN = 5


def show_annotations(screen: Screen, found: AnnotationCounts) -> None:
    """How many events the source flags, whether their texts are here, and why not; nothing where none is flagged."""
    from pipelines.points import point_name

    if not found.events:
        return
    here = f"of {found.told:,} the annotations are here, {found.annotations:,} in all"
    screen.say(f"  annotated     {found.events:>16,} events; {here}")
    if found.not_offered:
        screen.say(f"  {found.not_offered:,} have annotations that the source does not offer", style="yellow")
    for point, (events, reason) in list(found.lacking.items())[:_SHOWN]:
        screen.say(f"  {point_name(point)}: of {events:,} events the annotation is lacking: {reason}", style="yellow")
    if len(found.lacking) > _SHOWN:
        screen.say(f"  {found.missing:,} events in all lack theirs; --json names more points", style="yellow")


def annotations_json(found: AnnotationCounts) -> dict[str, Any]:
    """`annotations` of --json: events that are flagged, and what is here of them."""
    from pipelines.points import point_name

    return {
        "events": found.events, "told": found.told, "not_offered": found.not_offered, "lacking": found.missing,
        "annotations": found.annotations,
        "points": [
            {"point": point_name(point), "events": events, "reason": reason}
            for point, (events, reason) in found.lacking.items()
        ],
    }  # fmt: skip
