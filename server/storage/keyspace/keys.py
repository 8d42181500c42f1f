"""The keys that the server writes in Redis.

For a user in bucket 07 of the usual 64; of another number of buckets, such as 256, the tag is {256.7}:

    gemserve:{07}:history:<user>    sorted set of at most `history_length` events by time; expires `history_days` after
                                    the last write
    gemserve:{07}:runs:<user>       counter of the interactions the user ever had; expires with the history
    gemserve:{07}:event_ids:<user>  sorted set of at most `event_ids` recorded event ids by arrival, each kept for
                                    `event_id_days`
    gemserve:{07}:dislikes:<user>   sorted set of at most 1,000 items that the user dislikes, by time; expires with the
                                    history, whose bound does not push them out
    gemserve:{07}:shown:<user>      sorted set of at most 128 impressions by time, the newest, of items that the user
                                    has not taken since; expires `history_days` after the last of them
    gemserve:{07}:sessions:<user>   set of the sessions that were merged into the user, until one of the two is erased
    gemserve:{07}:log               stream of about `event_log_length` / 64 events; never expires
    gemserve:{07}:aliases           hash of session → user for merged sessions, until one of the two is erased
    gemserve:{07}:tombstones        hash of SHA-256 of an erased user's id → when, Unix ms; never expires

    gemserve:{07}:old_log, old_aliases, old_tombstones
                                    what the last three were before `gemserve buckets`, until it is done. In their
                                    place is a string, for good: a server that still counts by the former number can
                                    record, merge and erase nothing

For the number of buckets:

    gemserve:{buckets}:number       hash of the number; the one to which keys are being moved (goal), if they are; the
                                    one before (former), until what was set aside is deleted; and how often they were
                                    moved (moves), which followers that keep their place in the log ask for

For changes of the catalog, each bounded by the number of items that were ever changed:

    gemserve:{catalog}:changes      hash of item id → its last change, as JSON
    gemserve:{catalog}:order        sorted set of item ids by the number of their last change
    gemserve:{catalog}:number       number of the last change
    gemserve:{catalog}:paths:<version>
                                    hash of item id → its path in this bundle, of items that are new to it; expires
                                    PATH_DAYS after a server last served the bundle
    gemserve:{catalog}:path_items:<version>
                                    hash of path → item id; expires with it

For followers of the log, beside the log itself:

    gemserve:{erased}:users         stream of the SHA-256 of about ERASED_LENGTH erased users' ids; never expires

For the traffic split:

    gemserve:{traffic}:split        hash of the number of its last change, and of the weights by version, as JSON

For a fleet of servers (`--fleet NAME`), in the place of the traffic split:

    gemserve:{fleet:NAME}:state     hash of the number of its last write, of when its epoch was written (Unix ms), and
                                    of the rest (`server/storage/shared/fleet_state.py`) as JSON; never expires
    gemserve:{fleet:NAME}:members   hash of name → what the member tells, as JSON; a lost member's is kept for
                                    LOST_MEMBER_SECONDS
    gemserve:{fleet:NAME}:leases    sorted set of names by the end of their leases, Unix ms; the same
    gemserve:{fleet:NAME:CALLER}:tokens
                                    when the token bucket of this caller (`key:…` or `address:…`) will be full again,
                                    Unix microseconds; expires at that time

For the synonyms, of which there are at most 10,000 words and phrases:

    gemserve:{synonyms}:sets        hash of the number of its last change, and of all sets, as JSON

For the overrides, of which there are at most 10,000 and 5,000,000 bytes:

    gemserve:{overrides}:rules      hash of the number of its last change, and of all overrides, as JSON

For the audit log:

    gemserve:{audit}:log            stream of about the last AUDIT_LENGTH changes of administrators; never expires

For analytics, until they are written to files:

    gemserve:{analytics}:answers    stream of about ANSWERS_LENGTH answers at most
    gemserve:{analytics}:writer     which server writes the files; expires after a minute

For `gemserve retrain`:

    gemserve:{retraining}:lock      who retrains now: host, process, since when, and a mark of its own; expires a minute
                                    after it was renewed last

For readiness:

    gemserve:{check}:write          written by every look whether Redis takes writes; expires after a minute. To each
                                    node of a cluster one of that name is written, with the tag of another key there,
                                    such as gemserve:{07}:write

Another namespace than the usual one stands behind `gemserve`, as in `gemserve:shoes:{07}:log`: several catalogs may so
share one Redis, each with events, changes, synonyms, overrides and a traffic split of its own.

A bucket is a hash of the user's id, and the braces make it the key's hash tag. A script may only touch keys of one slot
of a Redis Cluster, so the log is split into one stream per bucket, which lies in the slot of its users' keys. Readers
of the log merge the streams by the events' own time. Users' ids are percent-encoded, so that no id can name another
user's keys. A session is a user without an account, with an id of the same kind.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

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
    "Keyspace",
    "SharedKeys",
    "UserKey",
    "bucket_of",
    "buckets_in",
    "check_namespace",
]

SHARED_TAGS = ("catalog", "traffic", "synonyms", "overrides", "audit", "analytics", "erased", "buckets")
BUCKETS = 64
"""Of a Redis for which no other number was chosen."""
MAX_BUCKETS = 4_096  # followers of the log read as many streams
ANSWERS_LENGTH = 100_000  # some 50 MB, where nobody writes them to files
AUDIT_LENGTH = 10_000
LOST_MEMBER_SECONDS = 600  # in which GET /admin/fleet shows whom it has lost
PATH_DAYS = 90  # a bundle that is activated again later has its new items coded anew, for all servers alike
ERASED_LENGTH = 10_000  # whoever follows the log is behind by a second, or begins anew
NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)

LOG = re.compile(r"\{(?:(?P<buckets>[0-9]+)\.)?[0-9]+\}:log$", re.ASCII)

FleetKey = Literal["state", "members", "leases"]
UserKey = Literal["history", "runs", "event_ids", "dislikes", "shown", "sessions"]
BucketKey = Literal["log", "aliases", "tombstones", "old_log", "old_aliases", "old_tombstones"]
BUCKET_KEYS: dict[BucketKey, BucketKey] = {
    "log": "old_log",
    "aliases": "old_aliases",
    "tombstones": "old_tombstones",
}
"""With the key under which each is set aside while buckets change."""


def bucket_of(user: str, buckets: int = BUCKETS) -> int:
    """From 0 to `buckets` - 1."""
    size = 1 if buckets == BUCKETS else 8  # as it was when there was no other number
    return int.from_bytes(hashlib.blake2b(user.encode(), digest_size=size).digest()) % buckets


def buckets_in(log: str) -> int | None:
    """The number of buckets by which the key of a log is named; None for other keys."""
    found = LOG.search(log)
    return found and int(found["buckets"] or BUCKETS)


def check_namespace(name: str) -> str:
    """The name itself. Raises ValueError where it is none."""
    if not NAMESPACE.fullmatch(name):
        raise ValueError("is no namespace: give 1 to 40 of a-z, 0-9, - and _, a letter or digit first")
    return name


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """The keys of one catalog but for those of its users. namespace: as `check_namespace` takes it; None for the usual
    one."""

    namespace: str | None = None

    @property
    def changes(self) -> str:
        return self._key("catalog", "changes")

    @property
    def order(self) -> str:
        return self._key("catalog", "order")

    @property
    def number(self) -> str:
        return self._key("catalog", "number")

    def paths(self, version: str) -> str:
        return self._key("catalog", f"paths:{quote(version, safe='')}")

    def path_items(self, version: str) -> str:
        return self._key("catalog", f"path_items:{quote(version, safe='')}")

    @property
    def split(self) -> str:
        return self._key("traffic", "split")

    def fleet(self, name: str, part: FleetKey) -> str:
        return self._key(f"fleet:{name}", part)

    def tokens(self, fleet: str, caller: str) -> str:
        return self._key(f"fleet:{fleet}:{quote(caller, safe=':')}", "tokens")

    @property
    def synonyms(self) -> str:
        return self._key("synonyms", "sets")

    @property
    def overrides(self) -> str:
        return self._key("overrides", "rules")

    @property
    def audit(self) -> str:
        return self._key("audit", "log")

    @property
    def answers(self) -> str:
        return self._key("analytics", "answers")

    @property
    def analytics_writer(self) -> str:
        return self._key("analytics", "writer")

    @property
    def buckets_number(self) -> str:
        return self._key("buckets", "number")

    @property
    def retraining(self) -> str:
        return self._key("retraining", "lock")

    @property
    def erased(self) -> str:
        return self._key("erased", "users")

    def _key(self, tag: str, rest: str) -> str:
        between = "" if self.namespace is None else f"{self.namespace}:"
        return f"gemserve:{between}{{{tag}}}:{rest}"


@dataclass(frozen=True, slots=True)
class Keyspace(SharedKeys):
    """The keys of one catalog, whose users are in so many buckets (`server/storage/keyspace/buckets.py` asks Redis)."""

    buckets: int = BUCKETS

    def bucket_of(self, user: str) -> int:
        return bucket_of(user, self.buckets)

    def user_key(self, kind: UserKey, user: str) -> str:
        return self._key(self.tag(self.bucket_of(user)), f"{kind}:{quote(user, safe='')}")

    def bucket_key(self, kind: BucketKey, bucket: int) -> str:
        return self._key(self.tag(bucket), kind)

    @property
    def logs(self) -> list[str]:
        """The event log, by bucket."""
        return self.of_all("log")

    def of_all(self, kind: BucketKey) -> list[str]:
        """By bucket."""
        return [self.bucket_key(kind, bucket) for bucket in range(self.buckets)]

    @property
    def checks(self) -> list[str]:
        """One of each hash tag that all catalogs have; every node of a cluster that matters has one of them."""
        tags = ["check", *map(self.tag, range(self.buckets)), *SHARED_TAGS]
        return [self._key(tag, "write") for tag in tags]

    @property
    def pattern(self) -> str:
        """What Redis matches the keys of all buckets by."""
        return self._key("[0-9][0-9]" if self.buckets == BUCKETS else f"{self.buckets}.*", "*")

    def tag(self, bucket: int) -> str:
        """No tag of one number of buckets is one of another, so that keys of both never mix."""
        return f"{bucket:02}" if self.buckets == BUCKETS else f"{self.buckets}.{bucket}"


KEYS = Keyspace()
"""Of the usual namespace."""
