"""URLs of Redis behind Sentinels: what each part means, and what is refused without telling a password."""

import pytest

from server.core.settings.addresses import check_redis_url
from server.core.settings.sentinel_url import read_sentinel_url

SECRET = "hunter2"


def test_each_part_has_its_meaning() -> None:
    url = "rediss+sentinel://ada:p%40ss@one,two:26380,[::1]:3/my%20shop/2?sentinel_password=s%2F&ssl_cert_reqs=none"
    found = read_sentinel_url(url)
    assert found.names == ("one:26379", "two:26380", "[::1]:3")
    assert found.service == "my shop"
    assert found.redis == "rediss://ada:p%40ss@primary/2?ssl_cert_reqs=none"
    assert found.sentinels[1] == "rediss://:s%2F@two:26380?ssl_cert_reqs=none"
    assert "p%40ss" not in repr(found)
    assert "s%2F" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h/s",
        "redis+sentinel://h:1,i:2/s/0",
        "redis+sentinel://:hunter2@h/s/3?client_name=a",
        "rediss+sentinel://u:hunter2@h/s?sentinel_username=a&sentinel_password=b",
    ],
)
def test_taken(url: str) -> None:
    check_redis_url(url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://:hunter2@h", "it names no service"),
        ("redis+sentinel://:hunter2@h/", "it names no service"),
        ("redis+sentinel://:hunter2@/s", "its Sentinel 1 is no HOST:PORT"),
        ("redis+sentinel://:hunter2@h,/s", "its Sentinel 2 is no HOST:PORT"),
        ("redis+sentinel://:hunter2@h:0/s", "its Sentinel 1 is no HOST:PORT"),
        ("redis+sentinel://:hunter2@h:65536/s", "its Sentinel 1 is no HOST:PORT"),
        ("redis+sentinel://:hunter2@h:1,h:1/s", "names a Sentinel twice"),
        ("redis+sentinel://:hunter2@h:1/s/x", "no number of a database"),
        ("redis+sentinel://:hunter2@h:1/s/0/1", "no number of a database"),
        ("redis+sentinel://:hunter2@h:1/s?db=1", "behind the service"),
        ("redis+sentinel://:hunter2@h/s?sentinel_pasword=hunter2", "no sentinel_pasword"),
        ("redis+sentinel://:hunter2@h/s?sentinel_username=a", "needs sentinel_password"),
        ("redis+sentinel://:hunter2@h/s?colour=red", "does not know one of its options"),
        ("redis+sentinel://:hunter2@h/s?client_name", "is not NAME=VALUE"),
        ("redis+sentinel://:hunter2@h/s?client_name=a&client_name=b", "twice"),
        ("redis+sentinel://:hunter2#x@h/s", "behind # would be passed over"),
        ("redis+sentinel://:hunter2/x@h/s", "is no HOST:PORT"),
        ("REDIS+SENTINEL://:hunter2@h/s", "it must begin with redis"),
        ("redis+sentinels://:hunter2@h/s", "it must begin with redis"),
    ],
)
def test_refused_without_telling_the_password(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        check_redis_url(url)
    assert SECRET not in str(raised.value)
