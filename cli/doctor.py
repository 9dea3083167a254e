"""`ferry doctor`: what is wrong, and what to do."""

from __future__ import annotations

import click

from cli.options import framed
from cli.outcome import code_of, message_of
from cli.session import Session


@click.command(short_help="Say what is wrong and what to do.")
@framed
def doctor(session: Session) -> int:
    """Check everything that a run needs, and say what to do about what is wrong."""
    from cli.checks import examine
    from cli.findings import Finding
    from pipelines.ports import Stop

    screen = session.screen
    findings: list[Finding] = []

    def show(finding: Finding) -> None:
        findings.append(finding)
        mark, style = ("✘", "red") if not finding.well else ("–", "dim") if finding.idle else ("✔", None)
        if finding.loud:
            mark, style = "!", "bold yellow"
        screen.say(f"{mark} {finding.name}: {finding.detail}", style=style)
        if finding.advice:
            screen.say(f"    → {finding.advice}", style="yellow")

    try:
        plant = session.plant
    except Stop as error:
        show(Finding("plant file", message_of(error), "", code_of(error)))
    else:
        sources = ", ".join(f"{each.name} ({each.kind})" for each in plant.source)
        show(Finding("plant file", f"{session.plant_file}: plant {plant.plant.name!r}, {sources}"))
        for finding in examine(plant):
            show(finding)
    ill = [finding for finding in findings if not finding.well]
    worst = max((finding.code for finding in ill), default=0)
    screen.say()
    screen.say(f"{len(ill)} of {len(findings)} checks found something" if ill else "all well", style="bold")
    screen.emit(
        {
            "well": not ill,
            "checks": [
                {"name": each.name, "well": each.well, "detail": each.detail, "advice": each.advice, "code": each.code}
                for each in findings
            ],
        }
    )
    return worst
