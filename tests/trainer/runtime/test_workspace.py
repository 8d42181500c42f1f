"""One run at a time works in a workspace, on inputs that stay as they were."""

import pytest

from tests.support import world
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.runtime.workspace import open_workspace


@pytest.fixture
def files(tmp_path):
    return world.write_world(tmp_path)


@pytest.fixture
def recipe():
    return load_recipe("small", world.TINY)


def fill(draft):
    (draft / "file").write_text("content")


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_of_the_same_is_refused_while_the_first_is_at_work(files, recipe, tmp_path, resume):
    with open_workspace(tmp_path, recipe, files, resume=False) as workspace:
        workspace.stage(workspace.base, fill)
        with (
            pytest.raises(TrainerError, match="another run of this recipe and data is at work in"),
            open_workspace(tmp_path, recipe, files, resume=resume),
        ):
            pass
        assert (workspace.base / "file").is_file()
        with open_workspace(tmp_path, recipe, files, resume=False, owner=False) as joined:
            assert joined.base.is_dir()
    with open_workspace(tmp_path, recipe, files, resume=True) as workspace:
        assert workspace.base.is_dir()


def test_a_run_that_does_not_resume_begins_with_nothing(files, recipe, tmp_path):
    with open_workspace(tmp_path, recipe, files, resume=False) as workspace:
        workspace.stage(workspace.base, fill)
        workspace.step_log.write_text("")
    with open_workspace(tmp_path, recipe, files, resume=False) as workspace:
        assert not workspace.base.exists()
        assert not workspace.step_log.exists()


def test_a_stage_that_fails_leaves_nothing_and_can_be_repeated(files, recipe, tmp_path):
    def failing(draft):
        fill(draft)
        raise KeyboardInterrupt

    with open_workspace(tmp_path, recipe, files, resume=False) as workspace:
        before = list(workspace.root.iterdir())
        with pytest.raises(KeyboardInterrupt):
            workspace.stage(workspace.base, failing)
        assert list(workspace.root.iterdir()) == before
        workspace.stage(workspace.base, fill)
        assert (workspace.base / "file").read_text() == "content"


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_an_input_that_changed_is_named(files, recipe, tmp_path, change):
    with open_workspace(tmp_path, recipe, files, resume=False) as workspace:
        workspace.check_inputs()
        if change == "deleted":
            files[1].unlink()
        else:
            files[1].write_bytes(files[1].read_bytes()[:-1])
        with pytest.raises(TrainerError, match=r"events\.parquet was changed while it was read"):
            workspace.check_inputs()


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_output_that_is_no_folder_is_named(files, recipe, tmp_path, out):
    (tmp_path / "file").touch()
    with (
        pytest.raises(TrainerError, match=rf"--out .*{out}: no folder can be made there \(Not a directory\)"),
        open_workspace(tmp_path / out, recipe, files, resume=False),
    ):
        pass
