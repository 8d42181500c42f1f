"""What counts as keeping a promise of the documentation."""

import pytest

from tests.docs.console import Step, keeps, promise_of, steps_of

BLOCK = """$ curl -X POST http://x/events \\
    -d '[{"a":1},
         {"a":2}]'
{"accepted":[…],
 "rejected":[]}

$ ls    # it's empty
"""


def test_a_block_is_cut_into_commands_and_their_outputs():
    first, second = steps_of(BLOCK)
    assert first.command.endswith('{"a":2}]\'')
    assert first.output == '{"accepted":[…],\n "rejected":[]}'
    assert second == Step("ls    # it's empty", "")
    with pytest.raises(ValueError, match="no command"):
        list(steps_of("ls\n"))


@pytest.mark.parametrize(
    ("promised", "found", "kept"),
    [
        ('{"a":1}', {"a": 2.5}, True),
        ('{"a":1}', {"a": "2"}, False),
        ('{"a":1}', {"a": 1, "b": 1}, False),
        ('{"a":1, …}', {"a": 1, "b": 1}, True),
        ('{"a":1,…}', {"b": 1}, False),
        ("{…}", {}, True),
        ('{"a":"…"}', {"a": None}, True),
        ('{"a":null}', {"a": "x"}, False),
        ('[{"a":1}, …]', [{"a": 1}, 7], True),
        ('[{"a":1}, …]', [{"b": 1}, 7], False),
        ('[{"a":1}]', [{"a": 1}, 7], False),
        ('[{"a":1}]', [], False),
        ("true", 1, False),
        ("[]", {}, False),
    ],
)
def test_a_promise(promised, found, kept):
    assert keeps(promise_of(promised), found) is kept
