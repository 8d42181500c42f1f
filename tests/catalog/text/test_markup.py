"""Text of HTML, of text that only looks like it, and of text that is made to take long."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.text.markup import plain_column, plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Tripod &lt;5 kg, legs &gt;1 m", "Tripod <5 kg, legs >1 m"),
        ("Tripod <5 kg, legs >1 m", "Tripod <5 kg, legs >1 m"),
        ("<p>Weight: &lt;5 kg</p>", "Weight: <5 kg"),
        ("a < b and c > d", "a < b and c > d"),
        ("if a<b and c>d", "if a<b and c>d"),
        ("sizes <M and >S", "sizes <M and >S"),
        ("Java: List<String> explained", "Java: List<String> explained"),
        ("I <3 AT&T, R&D and Salt&Pepper", "I <3 AT&T, R&D and Salt&Pepper"),
        ("cable <USB-C> 2 m", "cable <USB-C> 2 m"),
        ("fits <b", "fits <b"),
        ("see <!-- here", "see <!-- here"),
        ("wow <!> <![x] <? ?>", "wow <!> <![x] <? ?>"),
        ("an <a that never ends", "an <a that never ends"),
        ("http://x.com/?a=1&copy=2&region=3&lt=4", "http://x.com/?a=1&copy=2&region=3&lt=4"),
        ("R&D&Regulatory, wash&notdry, usb&microusb", "R&D&Regulatory, wash&notdry, usb&microusb"),
        ("Cut&copy, time&times", "Cut&copy, time&times"),
        ("left&center &section &currency &parallel", "left&center &section &currency &parallel"),
        ("<b>Q&A</b> &quotes &ltd &gtx", "Q&A &quotes &ltd &gtx"),
    ],
)
def test_what_is_no_tag_stays(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Soft.</p><p>Black.</p>", "Soft. Black."),
        ("one<br>two<BR/>three", "one two three"),
        ("<ul><li>a<li>b</ul>", "a b"),
        ("H<sub>2</sub>O, <b>bold</b>ly", "H2O, boldly"),
        ("lens<script>if (a<b && c>d) w('<p>x</p>');</script> cap", "lens cap"),
        ("lens<STYLE type='text/css'>p > a {color: red}</STYLE> cap", "lens cap"),
        ("lens<!-- <p>hidden > </p> --> cap", "lens cap"),
        ("<!DOCTYPE html><html><body>lens</body></html>", "lens"),
        ('<a href="x > y" title=\'a<b\'>lens</a> <img src=x alt="y">', "lens"),
        ("<input disabled> <div hidden>lens</div>", "lens"),
        ("<o:p>lens</o:p> <my-price value='3'>", "lens"),
        ("<![CDATA[lens <b>cap</b>]]>", "lens cap"),
        ("Bob&#39;s &eacute;&#x301;&nbsp;&copy;", "Bob's é\u0301 ©"),
        ("<p> </p>", ""),
        ("caf&eacute <b>&copy 2020</b> x &lt y &amp z &#39x", "café © 2020 x < y & z 'x"),
        ("AT&amp;T&reg; &COPY; &AMP", "AT&T® © &"),
    ],
)
def test_markup_goes_and_words_keep_their_ends(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@pytest.mark.parametrize(
    ("column", "plain"),
    [
        (["Bob&amp;#39;s", None, "A &amp;amp; B", "tent"], ["Bob's", None, "A & B", "tent"]),
        (["&amp;lt;5 kg"], ["<5 kg"]),
        (["&lt;p&gt;Soft&lt;/p&gt;", "&lt;b&gt;Black&lt;/b&gt;"], ["Soft", "Black"]),
        (["&lt;p&gt;A &amp;amp; B&lt;/p&gt;", "tent"], ["A & B", "tent"]),
        (["A &amp; B", "use &amp;nbsp; in HTML"], ["A & B", "use &nbsp; in HTML"]),
        (["the &lt;b&gt; element", "tent", "bag"], ["the <b> element", "tent", "bag"]),
        (["&lt;5 kg", "&gt;1 m"], ["<5 kg", ">1 m"]),
        (["&amp;amp;amp;"], ["&amp;"]),
        (["", " ", "<br>"], [None, None, None]),
        ([], []),
    ],
)
def test_only_a_whole_column_is_unescaped_once_more(column: list[str | None], plain: list[str | None]) -> None:
    assert plain_column(column) == plain


@given(st.lists(st.text(st.sampled_from("ab <>&;3x=\"'-!/")), min_size=1, max_size=4))
def test_escaped_text_comes_back_as_it_was(texts: list[str]) -> None:
    for text in texts:
        assert plain_text(html.escape(text)) == " ".join(text.split())


@given(st.lists(st.sampled_from(["<", ">", "p", "b ", "/", "!", "--", "[", "?", "&", "=", '"', "'", "script"])))
def test_any_text_has_a_plain_one(parts: list[str]) -> None:
    text = "".join(parts)
    assert plain_column([text]) in ([plain_text(text) or None], [plain_text(plain_text(text)) or None])


@pytest.mark.parametrize(
    "part",
    [
        *("<!--", "<!-- a> ", '<a x="', "<a x='> ", "<b>", "</", "<script>", "<![CDATA[", "<?xml ", "&#", "<p a"),
        *("<b x=1", "<", "-->", "<p \t", "<p a= ", "&copy", "&a", "&copy ", "<a:", "<!doctype ", "&amp", "<script></"),
    ],
)
def test_a_long_text_of_anything_takes_time_in_proportion(part: str) -> None:
    """Where the rest of the text is looked at for every part, this takes minutes."""
    text = part * (300_000 // len(part))
    plain_text(text)
    plain_text(f"{text}>")
