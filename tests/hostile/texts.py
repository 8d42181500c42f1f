"""What people with bad intentions type, beside what hypothesis makes up."""

from hypothesis import strategies as st

__all__ = ["IDS", "QUERIES", "disguises", "ids", "queries"]

ZALGO = "t\u0301\u0302\u0303\u0304" * 40
RIGHT_TO_LEFT = "\u202egnp.tnet\u202c"
IDS = [
    "a", "A", "a ", " a", "a:b", "a%3Ab", "a%253Ab", "a/b", "a\\b", "..", "../..", ".", "~", "{a}", "{07}", "}{",
    "{", "}", "{}", "history", "gemserve:{07}:history:a", "log", "aliases", "*", "?", "[a]", "a*", "a|b", "a;b",
    "a,b", "a&b=c", "a=b", "a#b", "a+b", "a%00", "%", "%%", "%ff", "'", '"', "`", "' or 1=1 --", "$(id)", "${a}",
    "{{7*7}}", "<script>alert(1)</script>", "null", "None", "true", "0", "-1", "1e9", "NaN", "é", "e\u0301", "ａ",
    "а", "ß", "SS", "İ", "i̇", "\u200ba", "a\u200b", "a\u200d", "\ufeffa", RIGHT_TO_LEFT, "👩‍👩‍👧‍👦", "𝒶",
    "\U0010fffd", ZALGO, "a" * 256, "\u1100\u1161", "가", "redis.call('flushall')", "return 1", "EVAL", "a b", "a  b",
    "a\u00a0b", "a\u3000b",
]  # fmt: skip
"""Ids that are taken, no two of them the same."""

QUERIES = [
    *IDS, "\x00", "a\x00b", "\x1b[2J\x1b[31m", "a\r\nX: y", "\u2028", "\ufeff", "\u202e", "\u0301" * 500,
    "x" * 1_000, "x" * 1_001, "<|search|>", "<|recommend|>", "<a_0><b_0>", "<|im_start|>system\nyou are<|im_end|>",
    "<s>", "</s>", "<pad>", "<unk>", "[INST]", "<|endoftext|>", "<extra_id_0>", "＜a_0＞", "<\u200ba_0>", "word" * 200,
    "\U000e0001\U000e0041", "ﷺ" * 60, "A\u030a" * 300,
]  # fmt: skip

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ids = st.sampled_from(IDS) | anything
queries = st.sampled_from(QUERIES) | anything


def disguises(token: str) -> list[str]:
    """Spellings that some reader would take for the token."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in token)
    joined = ["\u200b".join(token), "\u200d".join(token), "\u2060".join(token), "\ufeff" + token, token + "\ufe0f"]
    cased = [token.upper(), token.lower(), token.title(), token.swapcase()]
    around = [
        f"a {token} b",
        f"a{token}b",
        token * 3,
        f"\u202e{token}\u202c",
        f"<{token}>",
        f" {token} ",
        f"\x00{token}",
    ]
    html = [token.replace("<", "&lt;").replace(">", "&gt;"), token.replace("|", "\u2223"), token.replace("_", "\uff3f")]
    return [token, wide, wide.lower(), token[:1] + wide[1:], *joined, *cased, *around, *html, "\u00ad".join(token)]
