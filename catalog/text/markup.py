"""Plain text of HTML, and of text that only looks like it.

Texts of shops are HTML, escaped text, or plain text, often in one column. So a `<` begins a tag only where a tag of
HTML follows, with attributes as tags have them: `a <b and c> d`, `List<String>` and `Tripod <5 kg` are text. Scripts,
styles and comments are dropped. A tag that ends a line or a cell on a page becomes a space; `H<sub>2</sub>O` stays one
word.

The parser is that of the standard library, which only divides the text into tokens. Parsers that build a tree, such as
those of lxml and selectolax, are faster, but the rules of HTML5 for tags that overlap let a tree grow with the square
of a hostile text. What would make this parser look at the rest of the text again and again, such as a comment that
never ends, is made text before.
"""

import html
import html.entities
import re
from collections.abc import Sequence
from html.parser import HTMLParser

__all__ = ["plain_column", "plain_text"]

# fmt: off
INLINE = frozenset({
    "a", "abbr", "acronym", "b", "basefont", "bdi", "bdo", "big", "blink", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "ins", "kbd", "label", "mark", "nobr", "q", "rb", "rp", "rt", "rtc", "ruby", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
})
"""Elements that do not end a word."""
BLOCKS = frozenset({
    "address", "applet", "area", "article", "aside", "audio", "base", "bgsound", "blockquote", "body", "br", "button",
    "canvas", "caption", "center", "col", "colgroup", "command", "datalist", "dd", "details", "dialog", "dir", "div",
    "dl", "dt", "embed", "fieldset", "figcaption", "figure", "footer", "form", "frame", "frameset", "h1", "h2", "h3",
    "h4", "h5", "h6", "head", "header", "hgroup", "hr", "html", "iframe", "image", "img", "input", "legend", "li",
    "link", "listing", "main", "map", "marquee", "math", "menu", "menuitem", "meta", "meter", "nav", "noembed",
    "noframes", "noscript", "object", "ol", "optgroup", "option", "output", "p", "param", "picture", "pre", "progress",
    "script", "search", "section", "select", "slot", "source", "spacer", "style", "summary", "svg", "table", "tbody",
    "td", "template", "textarea", "tfoot", "th", "thead", "title", "tr", "track", "ul", "video", "xmp",
})
# fmt: on
BARE_ATTRIBUTES = "allowfullscreen|async|autoplay|checked|compact|controls|defer|disabled|hidden|ismap|itemscope|loop"
BARE_ATTRIBUTES += "|multiple|muted|noshade|nowrap|open|readonly|required|reversed|selected"
NAME = rf"(?:{'|'.join(sorted(INLINE | BLOCKS, key=len, reverse=True))}|[a-z][a-z0-9]*:[a-z][\w.-]*)"
ATTRIBUTES = rf"(?=\s*/?>|\s+(?:[^\s\"'<>/=]+\s*=|(?:{BARE_ATTRIBUTES})[\s/>]))"
TAG = rf"(?:/?{NAME}{ATTRIBUTES}|[a-z][\w.-]*\s+[a-z][\w:.-]*\s*=\s*[\"'])"
LITERAL = re.compile(rf"<(?!{TAG}|!--|!doctype\s|\?xml\s)", re.IGNORECASE)
CDATA = re.compile(r"<!\[CDATA\[|\]\]>")
WORDS = frozenset({"cent", "copy", "deg", "lt", "gt", "micro", "not", "para", "sect", "shy", "times", "yen"})
"""Names of references that are words too: `cut&copy` is two."""
AMPERSAND = re.compile(r"&(?P<reference>(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});)?", re.IGNORECASE)
UNENDED = re.compile(r"&(?=(?P<name>[a-z][a-z0-9]{1,31})(?![a-z0-9;]))", re.IGNORECASE)
"""An `&` before a name without a semicolon. Old pages have `caf&eacute` and `&copy 2020`, but browsers also read
`cut&copy` or `?a=1&copy=2` so, and `&notes` as a negation and `es`; here only a whole name is a reference."""
ESCAPED_TWICE = 0.9
"""Share of such values, of those in which any `&` or `<` is left, that makes a column one that was escaped twice."""


def plain_text(text: str) -> str:
    """The text without mark-up, its character references resolved once, and with one space between words.

    Takes time in proportion to the length of any text.
    """
    if "&" in text:
        text = UNENDED.sub(_ampersand, text)
    if "<" in text:
        parser = _PlainText()
        parser.feed(_with_literals(text))
        parser.close()
        text = "".join(parser.parts)
    elif "&" in text:
        text = html.unescape(text)
    return " ".join(text.split())


def plain_column(values: Sequence[str | None]) -> list[str | None]:
    """`plain_text` of every value, None for what has none; of a column that was escaped twice it is taken twice.

    A column was escaped twice if references are left in nearly all values in which any `&` or `<` is left, or tags in
    most of its values. In a single value `<b>` may be meant, as in the title of a book about HTML.
    """
    texts = [plain_text(value) if value else "" for value in values]
    if _is_escaped(texts):
        texts = [plain_text(text) for text in texts]
    return [text or None for text in texts]


def _ampersand(found: re.Match[str]) -> str:
    """The `&` as it is where a browser would know the whole name, and nothing else is joined to it; else escaped."""
    text, start, end = found.string, found.start(), found.end("name")
    before, behind = text[max(start - 1, 0) : start], text[end : end + 1]
    joined = before.isalnum() and found["name"] in WORDS
    return "&" if found["name"] in html.entities.html5 and behind != "=" and not joined else "&amp;"


class _PlainText(HTMLParser):
    """Collects the text that a page would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # else within a script or a style
            self.parts.append(data)


def _with_literals(text: str) -> str:
    """The text with every `<` escaped that begins no tag, or one that does not end."""
    text = CDATA.sub("", text)
    text = LITERAL.sub("&lt;", text)
    before, end, after = text.rpartition("-->")
    text = before + end + after.replace("<!--", "&lt;!--")
    before, end, after = text.rpartition(">")
    return before + end + after.replace("<", "&lt;")


def _is_escaped(texts: Sequence[str]) -> bool:
    """Whether references are left in them, or tags in most, and hardly any text has a `&` or `<` of its own."""
    referring = tagged = plain = 0
    for text in texts:
        if "&" not in text and "<" not in text:
            continue
        references = [*map(_is_reference, AMPERSAND.finditer(text))]
        if not all(references) or LITERAL.search(text):
            plain += 1
        elif references:
            referring += 1
        else:
            tagged += 1
    escaped = referring + tagged
    evident = referring > 0 or tagged > sum(map(bool, texts)) / 2
    return evident and escaped >= ESCAPED_TWICE * (escaped + plain)


def _is_reference(found: re.Match[str]) -> bool:
    return found["reference"] is not None and html.unescape(found[0]) != found[0]
