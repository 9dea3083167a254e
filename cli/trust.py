"""`ferry trust`: the certificates that a source's servers show, pinned as theirs from now on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cli.options import framed
from cli.session import Session

if TYPE_CHECKING:
    from pipelines.plant import Plant, SourceSettings


class Shown(NamedTuple):
    """The certificate (DER) of `who`, which `path` is to hold; `vouched`: an authority has signed it."""

    who: str
    path: Path
    certificate: bytes
    vouched: bool = False


@click.command(short_help="Show and pin the certificates of a source's servers.")
@click.argument("source", required=False)
@framed
def trust(session: Session, source: str | None) -> None:
    """Show the certificates that the servers of a source have now, and pin them: no other is believed from then on.

    For certificates that no authority has signed. Nothing is logged in to. SOURCE may be left out when the plant has
    just one.
    """
    pin(session, session.source(source))


def pin(given: Session, settings: SourceSettings) -> None:
    """Saves the certificates that the servers show now as theirs; a person compares the fingerprints."""
    from pipelines.ports import Stop
    from resources.certificates import described, fingerprint, load, thumbprint

    screen, saved = given.screen, {}
    for who, path, shown, vouched in _shown(given.plant, settings):
        before = fingerprint(load(path)) if path.is_file() else ""
        says = described(shown)
        saved[who] = fingerprint(shown)
        screen.say(f"{who}:", style="bold")
        issuer = "itself" if says.issuer == says.subject else says.issuer
        screen.say(f"  of {says.subject or 'nobody'}, signed by {issuer}")
        until = f"{says.begin:%Y-%m-%d} to {says.end:%Y-%m-%d}" + (", EXPIRED" if says.expired else "")
        screen.say(f"  for {', '.join(says.names) or 'no name'}; valid {until}")
        screen.say(f"  SHA-256 {saved[who]}\n  SHA-1   {thumbprint(shown)} (Windows: thumbprint)")
        if vouched:
            screen.note(
                "  an authority that is trusted here has signed it: it needs no pin, and with one each renewed "
                f"certificate must be pinned, too; without {path} the authority decides"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(shown)
        temporary.replace(path)
        changed = f"; it was {before}" if before and before != saved[who] else ""
        screen.say(f"  {path} holds the certificate{changed}")
        screen.note("  trust it only if the server's own administration shows the same fingerprint")
    if not saved:
        raise Stop(f"source {settings.name!r} has no server with a certificate to be pinned: there is nothing to trust")
    screen.emit({"source": settings.name, "certificates": saved})


def _shown(plant: Plant, settings: SourceSettings) -> Iterator[Shown]:
    from pipelines.ports import Stop

    if settings.kind == "wonderware":
        raise Stop(
            f"source {settings.name!r}: the certificate of a SQL Server cannot be pinned, as its drivers only verify "
            "one; name its authority, or the file of a self-signed one that bears the server's name, with ca_file"
        )
    if settings.kind == "pi_web_api":
        yield from _of_pi(plant, settings)
    else:
        from cli import opcua

        for who, path, certificate in opcua.certificates(plant, settings):
            yield Shown(who, path, certificate)


def _of_pi(plant: Plant, settings: SourceSettings) -> Iterator[Shown]:
    """Of the PI Web API, and of the token endpoint where that is another server."""
    import asyncio

    from resources.pi_web_api.trust import Trust

    trust = Trust.of(plant, settings)
    for path, url in trust.servers(settings.url, settings.auth.token_url).items():
        certificate = asyncio.run(trust.shown(url))
        yield Shown(url, path, certificate, asyncio.run(trust.vouched(url)))
