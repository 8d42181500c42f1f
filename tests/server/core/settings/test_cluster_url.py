"""URLs of a Redis Cluster: what each part means, and what is refused without telling a password."""

import pytest

from server.core.settings.addresses import check_redis_url
from server.core.settings.cluster_url import is_cluster_url, read_cluster_url

SECRET = "hunter2"


def test_each_part_has_its_meaning() -> None:
    found = read_cluster_url("rediss+cluster://ada:p%40ss@one,two:7001,[::1]:3/0?ssl_cert_reqs=none")
    assert found.names == ("one:6379", "two:7001", "[::1]:3")
    assert found.seeds[1] == "rediss://ada:p%40ss@two:7001/0?ssl_cert_reqs=none"
    assert found.of("::1", 9) == "rediss://ada:p%40ss@[::1]:9/0?ssl_cert_reqs=none"
    assert "p%40ss" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://h",
        "redis+cluster://h:1,i:2/0",
        "rediss+cluster://u:hunter2@h/",
        "redis+cluster://:hunter2@[::1]:7000?client_name=a",
    ],
)
def test_taken(url: str) -> None:
    check_redis_url(url)
    assert is_cluster_url(url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+cluster://:hunter2@", "its node 1 is no HOST:PORT"),
        ("redis+cluster://:hunter2@h,", "its node 2 is no HOST:PORT"),
        ("redis+cluster://:hunter2@h:0", "its node 1 is no HOST:PORT"),
        ("redis+cluster://:hunter2@h:1,h:1", "names a node twice"),
        ("redis+cluster://:hunter2@h/1", "a cluster has no database but 0"),
        ("redis+cluster://:hunter2@h/mymaster", "a cluster has no database but 0"),
        ("redis+cluster://:hunter2@h?db=0", "a cluster has no database but 0"),
        ("redis+cluster://:hunter2@h?client_name", "is not NAME=VALUE"),
        ("redis+cluster://:hunter2@h?colour=red", "does not know one of its options"),
        ("redis+cluster://:hunter2#x@h", "behind # would be passed over"),
        ("REDIS+CLUSTER://:hunter2@h", "it must begin with redis"),
        ("redis+clusters://:hunter2@h", "it must begin with redis"),
    ],
)
def test_refused_without_telling_the_password(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        check_redis_url(url)
    assert SECRET not in str(raised.value)
