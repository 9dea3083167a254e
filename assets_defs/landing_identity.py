"""Which landing a ledger is about: two state folders on one ledger would mix two histories, so the second is refused.

A landing carries a small file with its id, and the ledger knows that id from the first run on. A folder that is moved
takes its file along.
"""

from __future__ import annotations

import socket
import uuid
from pathlib import Path
from typing import Protocol

from pipelines.durable import sync_folder
from pipelines.ports import Stop

ID_FILE = ".landing-id"


class LandingLedger(Protocol):
    """What the ledger tells of its landing: (id, place)."""

    def landing(self) -> tuple[str, str] | None: ...
    def claim_landing(self, landing: str, place: str) -> tuple[str, str]: ...


def check_landing(ledger: LandingLedger, root: Path) -> None:
    """Raises Stop where the ledger is about another landing than the one in `root`. Changes nothing."""
    known = ledger.landing()
    if known is None:
        return
    landing, place = known
    here = landing_id(root)
    if here is None:
        raise Stop(
            f"the ledger is about the landing in {place}, and there is none in {root} (no {ID_FILE}): {_advice(root)}"
        )
    if here != landing:
        raise Stop(f"the ledger is about the landing in {place}, and {root} is another one: {_advice(root)}")
    original = _on_this_host(place)
    if original is not None and landing_id(original) == landing and not original.samefile(root):
        raise Stop(
            f"the landing in {root} is a copy of the one in {original}, which the ledger is about, and both would be "
            "written to. Use one of them; to go on with the copy, move the other away"
        )


def claim_landing(ledger: LandingLedger, root: Path) -> None:
    """The ledger is about the landing in `root` afterwards, if it was about none before. Raises Stop like the check."""
    check_landing(ledger, root)
    here = landing_id(root) or _named(root)
    landing, _ = ledger.claim_landing(here, f"{socket.gethostname()}:{root.resolve()}")
    if landing != here:  # somebody else was first
        check_landing(ledger, root)


def landing_id(root: Path) -> str | None:
    """The id of the landing in a folder; None where there is none."""
    try:
        return (root / ID_FILE).read_text(encoding="ascii").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{root / ID_FILE} cannot be read: {error}") from None


def _named(root: Path) -> str:
    root.mkdir(parents=True, exist_ok=True)
    part = root / f"{ID_FILE}.{uuid.uuid4().hex}"
    part.write_text(f"{uuid.uuid4().hex}\n", encoding="ascii")
    try:
        (root / ID_FILE).hardlink_to(part)  # whole or not at all, and of two the first
    except FileExistsError:
        pass
    finally:
        part.unlink()
    sync_folder(root)
    found = landing_id(root)
    assert found is not None
    return found


def _on_this_host(place: str) -> Path | None:
    host, _, folder = place.partition(":")
    return Path(folder) if host == socket.gethostname() and Path(folder).exists() else None


def _advice(root: Path) -> str:
    return (
        f"two state folders on one ledger would mix two histories. Set state_dir or [landing] uri in the plant file to "
        f"that folder (or mount it), move it to {root}, or give this plant a ledger of its own"
    )
