"""Folders of indexes that are removed while they are written."""

import threading
from pathlib import Path

import pytest

from server.engine.vllm.frontend.index_files import IndexFiles
from tests.support.small_shop import make_index


class SlowIndex:
    """Is saved when it may be."""

    def __init__(self) -> None:
        self.saving, self.go_on = threading.Event(), threading.Event()

    def __len__(self) -> int:
        return 3

    def save(self, folder: Path) -> None:
        self.saving.set()
        self.go_on.wait()
        folder.mkdir(exist_ok=True)
        (folder / "part").touch()


@pytest.mark.parametrize("remove", [lambda files: files.remove(1), lambda files: files.clear()])
def test_nothing_is_left_of_an_index_that_is_removed_while_it_is_written(remove, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files, index = IndexFiles(), SlowIndex()
    thread = threading.Thread(target=files.put, args=(1, index))
    thread.start()
    index.saving.wait()
    remove(files)
    index.go_on.set()
    thread.join()
    assert list(tmp_path.iterdir()) == []


def test_what_is_put_is_there_until_it_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = IndexFiles()
    folder = files.put(1, make_index())
    assert files.leaves(1) == len(make_index())
    assert list(folder.iterdir())
    files.remove(1)
    assert list(tmp_path.iterdir()) == []
