"""What counts as keeping a promise of the documentation."""

import pytest

from tests.docs.console import Step, agrees, keeps, promise_of, promises_of, steps_of, values_of

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


@pytest.mark.parametrize(
    ("promised", "found", "kept"),
    [
        ('{"a":1}', {"a": 1}, True),
        ('{"a":1}', {"a": 2}, False),
        ('{"a":1}', {"a": True}, False),
        ('{"a":7.0}', {"a": 7}, True),
        ('{"a":1}', {"a": 1, "b": 1}, False),
        ('{"a":1,…}', {"a": 1, "b": 1}, True),
        ('{"a":"x…z"}', {"a": "x\ny z"}, True),
        ('{"a":"x…"}', {"a": "yx"}, False),
        ('{"a":"(x)"}', {"a": "x"}, False),
        ("[…,2,…]", [1, 2, 3], True),
        ("[…,2,…]", [1, 3], False),
        ("[2,…]", [1, 2], False),
        ("[1,2]", [2, 1], False),
        ("[1,2]", [1, 2, 3], False),
        ("[…]", [], True),
        ("null", False, False),
    ],
)
def test_a_promise_of_values(promised, found, kept):
    assert agrees(promise_of(promised), found) is kept


def test_values_stand_one_behind_the_other():
    assert promises_of('{"a":[1,…]}\n{"b":2,…}') == [{"a": [1, "…"]}, {"b": 2, "…": "…"}]
    assert values_of(" 1 [2]\n\n") == [1, [2]]
    assert values_of("\n") == []
    with pytest.raises(ValueError, match="Expecting value"):
        values_of("{} x")
