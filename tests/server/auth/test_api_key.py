import re

import pytest

from server.auth.api_key import Key, mint, split


def test_a_key_fits_its_own_secret_only() -> None:
    key, text = mint(name="shop", scopes=("write", "read"))
    assert re.fullmatch(r"gsk_[0-9a-f]{12}_[0-9a-f]{64}", text)
    key_id, secret = split(text) or ("", "")
    assert key_id == key.id
    assert key.fits(secret)
    assert not key.fits(secret[:-1] + ("0" if secret[-1] != "0" else "1"))
    assert secret not in repr(key)
    assert key.sha256 not in repr(key)
    assert key.scopes == ("read", "write")


def test_every_key_is_another() -> None:
    assert len({mint(name="shop", scopes=("read",))[1] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    ["", "gsk_", "gsk_0_0", "gsk_" + "a" * 12 + "_" + "A" * 64, "gsk_" + "a" * 12 + "_" + "a" * 64 + "\n", "x" * 9000],
)
def test_what_is_no_key(text: str) -> None:
    assert split(text) is None


@pytest.mark.parametrize(
    ("scopes", "read", "write", "admin"),
    [
        (("read",), True, False, False),
        (("write",), False, True, False),
        (("read", "write"), True, True, False),
        (("admin",), True, True, True),
    ],
)
def test_admin_implies_the_others_and_write_does_not_imply_read(scopes, read, write, admin) -> None:
    key: Key = mint(name="shop", scopes=scopes)[0]
    assert (key.allows("read"), key.allows("write"), key.allows("admin")) == (read, write, admin)
