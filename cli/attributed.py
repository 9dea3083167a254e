"""What a look at the attributes of points found, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.screen import Screen

if TYPE_CHECKING:
    from assets_defs.attributes import AttributesRead

_SHOWN = 5


def show_attributes(screen: Screen, found: AttributesRead) -> None:
    """How many were read and are new or changed, the first changes, and what could not be had."""
    from cli.points import legible
    from pipelines.points import point_name

    read = f"attributes of {found.points:,} points and {found.sets:,} digital sets read"
    screen.say(f"{read}, {found.changed:,} of these new or changed")
    for kind, subject, attribute, before, after in found.changes[:_SHOWN]:
        name = point_name(subject) if kind == "point" else f"digital set {subject}"
        screen.say(f"  {legible(name)}: {attribute} was {_said(before)} and is {_said(after)}")
    if len(found.changes) > _SHOWN:
        screen.say("  … and more: --json names further ones, the export `attribute_changes` all")
    for refusal in found.refusals:
        screen.say(f"Not known: {refusal}", style="yellow")
    if found.unread and not found.refusals:
        subject, reason = next(iter(found.reasons.items()))
        screen.say(f"of {found.unread:,} the attributes could not be read, {subject}: {reason}", style="yellow")


def attributes_json(found: AttributesRead) -> dict[str, Any]:
    """`attributes` of `discover --json`."""
    return {
        "points": found.points, "digital_sets": found.sets, "changed": found.changed, "unread": found.unread,
        "reasons": found.reasons, "refusals": found.refusals,
        "changes": [
            dict(zip(("kind", "subject", "attribute", "before", "after"), each, strict=True)) for each in found.changes
        ],
    }  # fmt: skip


def _said(value: str | None) -> str:
    from cli.points import legible

    return "not there" if value is None else repr(legible(value))
