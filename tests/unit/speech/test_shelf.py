"""Spoken texts: nobody else reads them or puts theirs in their place, and they do not fill the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hookrouter.speech import shelf
from hookrouter.speech.shelf import Shelf


def test_files_of_our_own_are_for_us_alone(tmp_path: Path) -> None:
    """Whatever the umask; Asterisk gets them over HTTP."""
    before = os.umask(0)
    try:
        found = Shelf(tmp_path / "own", shared=False)
        found.prepare()
        found.keep(tmp_path / "own" / "a.wav", b"RIFF")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "own" / "a.wav").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["a.wav"]


def test_files_in_a_folder_of_asterisk_s_can_be_read_by_it(tmp_path: Path) -> None:
    """It runs as somebody else."""
    found = Shelf(tmp_path / "shared", shared=True)
    found.prepare()
    found.keep(tmp_path / "shared" / "a.wav", b"RIFF")
    assert stat.S_IMODE((tmp_path / "shared" / "a.wav").stat().st_mode) == 0o644


def test_folders_that_cannot_be_trusted(tmp_path: Path) -> None:
    """A link, one that everybody may write to, and another user's."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(PermissionError, match="is a link"):
        Shelf(tmp_path / "link", shared=False).prepare()
    (tmp_path / "there").chmod(0o777)
    with pytest.raises(PermissionError, match="every user may write"):
        Shelf(tmp_path / "there", shared=True).prepare()
    if os.geteuid() == 0:
        (tmp_path / "there").chmod(0o755)
        os.chown(tmp_path / "there", 12345, 12345)
        with pytest.raises(PermissionError, match="another user"):
            Shelf(tmp_path / "there", shared=True).prepare()


def test_a_link_in_the_place_of_a_sound_is_none(tmp_path: Path) -> None:
    """It is made anew, and what the link leads to is not touched."""
    target = tmp_path / "secret"
    target.write_text("secret")
    link = tmp_path / "a.wav"
    link.symlink_to(target)
    found = Shelf(tmp_path, shared=False)
    assert not found.used(link)
    found.keep(link, b"RIFF")
    assert (target.read_text(), link.read_bytes(), link.is_symlink()) == ("secret", b"RIFF", False)


def test_what_is_not_used_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a week, or when it is too much: the longest unused first, but nothing that may be heard now."""
    monkeypatch.setattr(shelf, "MOST_FILES", 3)
    found = Shelf(tmp_path, shared=False)
    now = 1_000_000_000.0
    ages = {"old": 8 * 86_400, "third": 4000, "second": 3000, "first": 2000, "young": 10, "younger": 5}
    for name, age in ages.items():
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
        os.utime(tmp_path / f"{name}.wav", (now - age, now - age))
    found.sweep(now)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["first", "young", "younger"]
    monkeypatch.setattr(shelf, "MOST_BYTES", 1)
    found.sweep(now)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["young", "younger"]
    assert found.used(tmp_path / "young.wav")
    assert not found.used(tmp_path / "first.wav")
