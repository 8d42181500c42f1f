"""Names cannot reach other names' keys in Redis."""

import re
from fnmatch import fnmatchcase
from itertools import combinations, product
from typing import get_args

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from server.storage.keyspace import KEYS, BucketKey, Keyspace, UserKey, bucket_of, buckets_in, check_namespace
from tests.hostile.texts import IDS, ids

KINDS = get_args(UserKey)
SHARED = {KEYS.changes, KEYS.order, KEYS.number} | {
    KEYS.bucket_key(kind, bucket) for kind in get_args(BucketKey) for bucket in range(64)
}
NUMBERS = st.sampled_from([1, 3, 10, 25, 64, 100, 256])
NAMESPACES = st.none() | st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)
TAG = re.compile(r"[^{]*\{([^}]+)\}")  # what Redis Cluster hashes


def all_of(keys: Keyspace, user: str) -> list[str]:
    shared = [keys.changes, keys.order, keys.number, keys.split, keys.synonyms, keys.audit, keys.erased, *keys.checks]
    return [*shared, *keys.logs, *(keys.user_key(kind, user) for kind in KINDS)]


@given(user=ids, other=ids)
@example(user="a:b", other="a%3Ab")
@example(user="{07}", other="07")
def test_different_people_have_different_keys(user: str, other: str) -> None:
    assume(user != other)
    mine, theirs = ({KEYS.user_key(kind, name) for kind in KINDS} for name in (user, other))
    assert len(mine) == len(KINDS)
    assert not mine & theirs
    assert not mine & SHARED


@given(user=ids, other=ids, namespace=NAMESPACES, another=NAMESPACES)
def test_different_namespaces_have_different_keys(
    user: str, other: str, namespace: str | None, another: str | None
) -> None:
    assume(namespace != another)
    mine, theirs = ({*all_of(Keyspace(space), name)} for space, name in ((namespace, user), (another, other)))
    assert not mine & theirs


@given(user=ids, numbers=st.tuples(NUMBERS, NUMBERS), namespace=NAMESPACES)
def test_keys_of_different_numbers_of_buckets_differ(
    user: str, numbers: tuple[int, int], namespace: str | None
) -> None:
    """A move can tell which keys are still where they were."""
    assume(numbers[0] != numbers[1])
    one, other = (Keyspace(namespace, number) for number in numbers)
    for kind in KINDS:
        assert one.user_key(kind, user) != other.user_key(kind, user)
    assert not {*one.logs} & {*other.logs}
    for keys in (one, other):
        assert {buckets_in(log) for log in keys.logs} == {keys.buckets}
        assert fnmatchcase(keys.user_key("history", user), keys.pattern)
    assert not fnmatchcase(one.user_key("history", user), other.pattern)


@pytest.mark.parametrize("name", ["", "A", "a:b", "{a}", "a b", "-a", "a" * 41, "ä", "a\n", "*"])
def test_what_is_no_namespace(name: str) -> None:
    with pytest.raises(ValueError, match="is no namespace"):
        check_namespace(name)


def test_no_two_of_the_worst_names_share_a_key() -> None:
    keys = [KEYS.user_key(kind, user) for kind, user in product(KINDS, IDS)]
    assert not [pair for pair in combinations(keys, 2) if pair[0] == pair[1]]


@given(kind=st.sampled_from(KINDS), user=ids)
def test_a_key_is_plain_ascii_with_the_tag_of_its_bucket(kind: UserKey, user: str) -> None:
    key = KEYS.user_key(kind, user)
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    found = TAG.match(key)
    assert found is not None
    assert found[1] == f"{bucket_of(user):02}"
    assert key.count("{") == key.count("}") == 1
