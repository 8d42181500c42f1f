"""What a run on several nodes with separate disks does before it begins: the same inputs and one workspace on all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from catalog.bundle.manifest import sha256_of
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.distributed.group import ProcessGroup
from trainer.runtime.checkpoint import saved_step
from trainer.runtime.workspace import Workspace

__all__ = ["join_nodes"]

SETTINGS = "the settings of the run"


def join_nodes(workspace: Workspace, recipe: Recipe, group: ProcessGroup) -> None:
    """Gives every disk the workspace of the one with the newest checkpoint, or else of rank 0's. One disk: nothing.

    So an interrupted run continues whichever node is the first then, and what is left on the others counts no more.

    Raises TrainerError, naming them, for files that not all nodes have alike.
    """
    if not group.disks.separate:
        return
    inputs = {str(file): digest for file, digest in workspace.digests.items()} | _recipe_files(recipe)
    found = group.all_gather_object(inputs | {SETTINGS: recipe.model_dump_json()})
    for rank, theirs in enumerate(found):
        if different := _different(found[0], theirs):
            raise TrainerError(
                f"process {rank} has not the same as process 0, which is on another node: {', '.join(different)}; "
                "every node needs the same files under the same paths, and the same command"
            )
    steps = group.all_gather_object(saved_step(workspace.checkpoint) if group.disks.owned else -1)
    group.disks.mirror(workspace.root, source=steps.index(max(steps)))


def _recipe_files(recipe: Recipe) -> dict[str, str]:
    """The digests of the base and the text that the recipe names, as far as they are files."""
    named = [Path(name) for name in (recipe.backbone.path, recipe.null_space.corpus) if name]
    files = [file for path in named for file in (path, *sorted(path.rglob("*"))) if file.is_file()]
    return {str(file): sha256_of(file) for file in files}


def _different(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return [name for name in dict.fromkeys([*mine, *theirs]) if mine.get(name) != theirs.get(name)]
