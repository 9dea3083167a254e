"""Commands of the contract that this version does not have yet: they say so, instead of being unknown."""

from __future__ import annotations

import click

from cli.options import framed
from cli.session import Session

_INSTEAD = {
    "collect": "PLCs (kind plc4x) cannot be read yet",
}


def _later(name: str) -> click.Command:
    @click.command(name, hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    @framed
    def command(session: Session) -> int:
        from pipelines.ports import Stop

        raise Stop(f"`ferry {name}` is not in this version; {_INSTEAD[name]}")

    return command


LATER = [_later(name) for name in _INSTEAD]
