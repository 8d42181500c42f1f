"""The files of events of a run, where arguments name drained folders or patterns (`catalog/drained`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from catalog.drained import joined_files, names_several, scratch_folder
from trainer.distributed.group import ProcessGroup
from trainer.runtime.workspace import workspaces_folder

__all__ = ["joined_events"]


@contextmanager
def joined_events(events: Path | Sequence[Path], out: Path, group: ProcessGroup) -> Iterator[list[Path]]:
    """A context with one file for each that the arguments name. Rank 0 joins what is to be joined, for all.

    out: the folder of bundles, beside whose workspaces the joined files are meanwhile.
    Raises EventsError as `catalog.drained.joined_files` does.
    """
    named = [events] if isinstance(events, Path) else list(events)
    if not group.on_rank0(lambda: names_several(named)):
        yield named
        return
    with ExitStack() as stack:

        def join() -> tuple[Path, list[Path]]:
            folder = stack.enter_context(scratch_folder(workspaces_folder(out)))
            return folder, joined_files(named, folder)

        folder, files = group.on_rank0(join)
        group.disks.mirror(folder)
        if group.disks.owned and group.rank > 0:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield files
