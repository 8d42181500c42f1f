import pytest

from trainer.core.errors import TrainerError
from trainer.runtime.step_log import StepLog, StepRecord, read_step_log, summary


def write(file, steps, **options):
    with StepLog(file, **options) as record:
        for step in steps:
            record.add(StepRecord(step, {"search": step + 0.5}, {"α_s": 0.25}, tokens=100 * step, seconds=0.5))


def test_what_was_added_is_read_again(tmp_path):
    write(tmp_path / "deep" / "training.jsonl", range(3))
    read = read_step_log(tmp_path / "deep" / "training.jsonl")
    assert read == [StepRecord(step, {"search": step + 0.5}, {"α_s": 0.25}, 100 * step) for step in range(3)]
    assert [record.seconds for record in read] == [0.5] * 3


def test_a_log_of_before_tokens_were_counted_is_read(tmp_path):
    file = tmp_path / "training.jsonl"
    file.write_text('{"step": 0, "losses": {"search": 1.5}, "figures": {}}\n', encoding="utf-8")
    assert read_step_log(file) == [StepRecord(0, {"search": 1.5}, {})]
    assert summary(read_step_log(file))["tokens_per_second"] is None


def test_the_summary_has_all_tokens_and_the_typical_speed(tmp_path):
    write(tmp_path / "training.jsonl", range(5))
    expected = {"steps": 5, "seconds": 2.5, "tokens": 1000, "tokens_per_second": 500}  # the median of 200 to 800
    assert summary(read_step_log(tmp_path / "training.jsonl")) == expected


def test_a_resumed_run_replaces_the_steps_it_repeats(tmp_path):
    file = tmp_path / "training.jsonl"
    write(file, range(6))
    write(file, [4, 5, 6], start=4)
    assert [record.step for record in read_step_log(file)] == list(range(7))


def test_a_run_that_starts_again_forgets_the_old_record(tmp_path):
    file = tmp_path / "training.jsonl"
    write(file, range(6))
    write(file, range(2))
    assert [record.step for record in read_step_log(file)] == [0, 1]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    file = tmp_path / "training.jsonl"
    write(file, range(3))
    file.write_bytes(file.read_bytes()[:-4])
    assert [record.step for record in read_step_log(file)] == [0, 1]


@pytest.mark.parametrize("line", ["{}", "[1]", "nonsense", '{"step": "x", "losses": {}, "figures": {}}'])
def test_a_line_that_is_no_step_is_named(tmp_path, line):
    file = tmp_path / "training.jsonl"
    write(file, [0])
    file.write_text(file.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(TrainerError, match="line 2"):
        read_step_log(file)


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(TrainerError, match="nowhere"):
        read_step_log(tmp_path / "nowhere.jsonl")
