import pytest

from server.api.transport.request_target import MAX_SHOWN, unencoded_address

END = b" HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.mark.parametrize(
    ("typed", "encoded"),
    [
        ("/search?q=käse".encode(), "/search?q=k%C3%A4se"),
        (b"/search?q=red tent", "/search?q=red%20tent"),
        (b'/search?q="red tent"|x', "/search?q=%22red%20tent%22%7Cx"),
        (b"/search?q=k\xe4se", "/search?q=k%E4se"),
        ("/items/帐篷".encode(), "/items/%E5%B8%90%E7%AF%B7"),
        (b"/search?q=a\tb", "/search?q=a%09b"),
    ],
)
def test_an_address_is_shown_as_it_should_be_written(typed: bytes, encoded: str) -> None:
    assert unencoded_address(b"GET " + typed + END) == encoded
    assert unencoded_address(b"GET /version" + END + b"GET " + typed + END) == encoded
    assert unencoded_address(b"GET " + typed) == encoded  # as far as it has come


def test_a_long_address_is_cut() -> None:
    shown = unencoded_address(b"GET /search?q=" + "ä".encode() * 5_000 + END)
    assert shown is not None
    assert len(shown) <= MAX_SHOWN + 1
    assert shown.endswith("…")


@pytest.mark.parametrize(
    "received",
    [b"", b"\x16\x03\x01", b"GET /search?q=a%20b" + END, b"hello world\r\n", b"SSH-2.0-x\r\n", b"GET x y" + END],
)
def test_other_faults_are_not_the_address(received: bytes) -> None:
    assert unencoded_address(received) is None
