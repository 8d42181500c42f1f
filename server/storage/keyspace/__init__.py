"""The names of the keys in Redis, and the number of buckets that users' keys are in."""

from server.storage.keyspace.buckets import Buckets, read_keyspace
from server.storage.keyspace.keys import (
    ANSWERS_LENGTH,
    AUDIT_LENGTH,
    BUCKET_KEYS,
    BUCKETS,
    ERASED_LENGTH,
    KEYS,
    LOST_MEMBER_SECONDS,
    MAX_BUCKETS,
    PATH_DAYS,
    BucketKey,
    Keyspace,
    SharedKeys,
    UserKey,
    bucket_of,
    buckets_in,
    check_namespace,
)
from server.storage.keyspace.stream_place import StreamPlace

__all__ = [
    "ANSWERS_LENGTH",
    "AUDIT_LENGTH",
    "BUCKETS",
    "BUCKET_KEYS",
    "ERASED_LENGTH",
    "KEYS",
    "LOST_MEMBER_SECONDS",
    "MAX_BUCKETS",
    "PATH_DAYS",
    "BucketKey",
    "Buckets",
    "Keyspace",
    "SharedKeys",
    "StreamPlace",
    "UserKey",
    "bucket_of",
    "buckets_in",
    "check_namespace",
    "read_keyspace",
]
