"""Which landing a ledger is about: another folder is refused, one that was moved is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assets_defs.landing_identity import ID_FILE, check_landing, claim_landing, landing_id
from pipelines.ports import Stop


class Ledger:
    """As PostgreSQL keeps it: the newest row counts, and nobody but the first names the landing."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def landing(self) -> tuple[str, str] | None:
        return self.rows[-1] if self.rows else None

    def claim_landing(self, landing: str, place: str) -> tuple[str, str]:
        if not self.rows or (self.rows[-1][0] == landing and self.rows[-1][1] != place):
            self.rows.append((landing, place))
        return self.rows[-1]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger()
    claim_landing(found, tmp_path / "first")
    return found


def test_the_same_folder_again(ledger: Ledger, tmp_path: Path) -> None:
    check_landing(ledger, tmp_path / "first")
    claim_landing(ledger, tmp_path / "first")
    assert len(ledger.rows) == 1
    assert [path.name for path in (tmp_path / "first").iterdir()] == [ID_FILE]


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a landing of its own"])
def test_another_folder_is_refused_and_both_are_named(ledger: Ledger, tmp_path: Path, there: str) -> None:
    second = tmp_path / "second"
    if there != "nothing":
        second.mkdir()
    if there == "a landing of its own":
        claim_landing(Ledger(), second)
    for ask in (check_landing, claim_landing):
        with pytest.raises(Stop) as refused:
            ask(ledger, second)
        assert str(second) in str(refused.value)
        assert str(tmp_path / "first") in str(refused.value)
        assert "state_dir" in str(refused.value)
    assert len(ledger.rows) == 1
    assert (landing_id(second) is None) == (there != "a landing of its own")


def test_a_folder_that_was_moved_takes_its_name_along(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "first").rename(tmp_path / "moved")
    claim_landing(ledger, tmp_path / "moved")
    assert ledger.rows[-1][1].endswith("/moved")
    with pytest.raises(Stop, match="/moved"):
        check_landing(ledger, tmp_path / "first")


def test_a_folder_by_another_name_is_the_same(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "first")
    claim_landing(ledger, tmp_path / "link")
    assert len(ledger.rows) == 1


def test_a_copy_beside_the_original_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    with pytest.raises(Stop, match="is a copy of"):
        claim_landing(ledger, tmp_path / "copy")
    shutil.rmtree(tmp_path / "first")
    claim_landing(ledger, tmp_path / "copy")


def test_of_two_that_begin_at_once_one_is_first(tmp_path: Path) -> None:
    class Late(Ledger):
        """Somebody else claims between our look and our claim."""

        def claim_landing(self, landing: str, place: str) -> tuple[str, str]:
            super().claim_landing("theirs", "other:/landing")
            return super().claim_landing(landing, place)

    with pytest.raises(Stop, match="other:/landing"):
        claim_landing(Late(), tmp_path / "mine")
