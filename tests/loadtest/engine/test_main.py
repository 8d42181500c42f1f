"""The command line; tests/integration/test_loadtest_engine.py runs the command."""

import pytest

from loadtest.engine.__main__ import parse


def test_lists_are_sorted_numbers_and_known_peers():
    options = parse(["--json", "x", "--beam", "50,10,50", "--concurrency", "8", "--peers", "vllm"])
    assert options.beam == [10, 50]
    assert options.concurrency == [8]
    assert options.peers == ["vllm"]
    assert parse(["--json", "x", "--peers", ""]).peers == []
    assert parse(["--json", "x"]).peers == ["vllm", "transformers"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("--beam 0,5", "0 is not positive"), ("--peers sglang", "no peer"), ("--concurrency a", "invalid")],
)
def test_what_makes_no_sense_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse(["--json", "x", *arguments.split()])
    assert message in capsys.readouterr().err
