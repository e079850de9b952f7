"""The journal's files are ours alone: nobody reads them, and nobody has put them there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hookrouter.errors import StoreError
from hookrouter.record.file import RecordFile
from hookrouter.store.opening import open_store


async def started(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    await store.start()
    await store.close()


async def test_nobody_else_reads_them(tmp_path: Path) -> None:
    """Journal, log and lock have mode 0600, whatever the umask, and whatever an older version has left."""
    path = tmp_path / "state.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{path}")
        await store.start()
        store.put_meta("a", b"b")
        found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert {"state.db", "state.db.lock"} <= set(found)
    assert set(found.values()) == {0o600}


def test_nobody_else_reads_what_was_said_in_calls(tmp_path: Path) -> None:
    """The record's file and its log: new ones, and those that were there with other modes."""
    path = tmp_path / "record.db"
    before = os.umask(0)
    try:
        for _ in range(2):
            record = RecordFile(path)
            found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
            record.close()
            assert set(found) >= {"record.db", "record.db-wal"}
            assert set(found.values()) == {0o600}
            path.chmod(0o644)
    finally:
        os.umask(before)


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_the_record_follows_no_link(tmp_path: Path, ending: str) -> None:
    """What it leads to is not touched."""
    target = tmp_path / "target"
    target.write_text("somebody's")
    (tmp_path / f"record.db{ending}").symlink_to(target)
    with pytest.raises(StoreError, match="is a link"):
        RecordFile(tmp_path / "record.db")
    assert target.read_text() == "somebody's"


@pytest.mark.parametrize("ending", ["", ".lock", "-wal", "-shm"])
async def test_no_link_is_followed(tmp_path: Path, ending: str) -> None:
    """What it leads to is not touched."""
    target = tmp_path / "target"
    target.write_text("somebody's")
    (tmp_path / f"state.db{ending}").symlink_to(target)
    with pytest.raises(StoreError, match="is a link"):
        await started(tmp_path / "state.db")
    assert target.read_text() == "somebody's"


async def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe would hold up the start for ever."""
    os.mkfifo(tmp_path / "state.db")
    with pytest.raises(StoreError, match="is not a file"):
        await started(tmp_path / "state.db")


async def test_a_folder_of_everybody_s(tmp_path: Path) -> None:
    """Others could put their file in the place of ours; where only owners may (as in /tmp) they cannot."""
    tmp_path.chmod(0o777)
    with pytest.raises(StoreError, match="every user may write there"):
        await started(tmp_path / "state.db")
    tmp_path.chmod(0o1777)
    await started(tmp_path / "state.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what", ["folder", "file"])
async def test_what_belongs_to_somebody_else(tmp_path: Path, what: str) -> None:
    """Is refused, with whose it is."""
    path = tmp_path / "state.db"
    path.touch(mode=0o600)
    os.chown(tmp_path if what == "folder" else path, 12345, 12345)
    with pytest.raises(StoreError, match="belongs to another user"):
        await started(path)
