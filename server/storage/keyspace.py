"""The keys that the server writes in Redis. For a user in bucket 07 of 64:

    gemserve:{07}:history:<user>    sorted set by time: `history_length` events, gone `history_days` after the last came
    gemserve:{07}:runs:<user>       counter beside it, same lifetime
    gemserve:{07}:event_ids:<user>  recorded event ids: `event_ids` of them, each for `event_id_days`
    gemserve:{07}:sessions:<user>   set of the sessions that were merged into the user, until one of them is erased
    gemserve:{07}:log               stream: about `event_log_length` / 64 events, without an end of life
    gemserve:{07}:aliases           hash: every merged session of the bucket → its user, until one of them is erased
    gemserve:{07}:tombstones        hash: SHA-256 of the id of every erased user of the bucket → when, Unix ms; for ever

and one key tag for the edits of the catalog, each of which is bounded by the number of items that were ever edited:

    gemserve:{catalog}:changes    hash: item id → what became of the item, as JSON
    gemserve:{catalog}:order      sorted set: item id, by the number of the change
    gemserve:{catalog}:number     of the last change

and one for the traffic split:

    gemserve:{traffic}:split      hash: the number of its last change, and the weights by version, as JSON

A bucket is a hash of the user, and the braces make it the key's hash tag: in a Redis Cluster one script may only touch
keys of one slot, so the log is split by bucket and every user's keys lie beside their share of it. Readers of the log
merge its 64 parts by the events' own time. Users are percent-encoded, so no name can reach another's keys. A session is
a user without an account: ids of both are of one kind.
"""

import hashlib
from typing import Literal
from urllib.parse import quote

__all__ = ["BUCKETS", "CHANGES_KEY", "NUMBER_KEY", "ORDER_KEY", "SPLIT_KEY", "bucket_key", "bucket_of", "user_key"]

BUCKETS = 64  # part of the key layout: another number would lose every history

CHANGES_KEY = "gemserve:{catalog}:changes"
ORDER_KEY = "gemserve:{catalog}:order"
NUMBER_KEY = "gemserve:{catalog}:number"
SPLIT_KEY = "gemserve:{traffic}:split"

UserKey = Literal["history", "runs", "event_ids", "sessions"]
BucketKey = Literal["log", "aliases", "tombstones"]


def bucket_of(user: str) -> int:
    return hashlib.blake2b(user.encode(), digest_size=1).digest()[0] % BUCKETS


def user_key(kind: UserKey, user: str) -> str:
    return f"gemserve:{{{bucket_of(user):02}}}:{kind}:{quote(user, safe='')}"


def bucket_key(kind: BucketKey, bucket: int) -> str:
    return f"gemserve:{{{bucket:02}}}:{kind}"
