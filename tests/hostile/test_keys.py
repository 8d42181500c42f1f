"""Names cannot reach other names' keys in Redis."""

import re
from itertools import combinations, product
from typing import get_args

from hypothesis import assume, example, given
from hypothesis import strategies as st

from server.storage.keyspace import (
    CHANGES_KEY,
    NUMBER_KEY,
    ORDER_KEY,
    BucketKey,
    UserKey,
    bucket_key,
    bucket_of,
    user_key,
)
from tests.hostile.texts import IDS, ids

KINDS = get_args(UserKey)
SHARED = {CHANGES_KEY, ORDER_KEY, NUMBER_KEY} | {
    bucket_key(kind, bucket) for kind in get_args(BucketKey) for bucket in range(64)
}
TAG = re.compile(r"[^{]*\{([^}]+)\}")  # what Redis Cluster hashes


@given(user=ids, other=ids)
@example(user="a:b", other="a%3Ab")
@example(user="{07}", other="07")
def test_different_people_have_different_keys(user: str, other: str) -> None:
    assume(user != other)
    mine, theirs = ({user_key(kind, name) for kind in KINDS} for name in (user, other))
    assert len(mine) == len(KINDS)
    assert not mine & theirs
    assert not mine & SHARED


def test_no_two_of_the_worst_names_share_a_key() -> None:
    keys = [user_key(kind, user) for kind, user in product(KINDS, IDS)]
    assert not [pair for pair in combinations(keys, 2) if pair[0] == pair[1]]


@given(kind=st.sampled_from(KINDS), user=ids)
def test_a_key_is_plain_ascii_with_the_tag_of_its_bucket(kind: UserKey, user: str) -> None:
    key = user_key(kind, user)
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    found = TAG.match(key)
    assert found is not None
    assert found[1] == f"{bucket_of(user):02}"
    assert key.count("{") == key.count("}") == 1
