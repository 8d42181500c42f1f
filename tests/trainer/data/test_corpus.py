"""Reading general text."""

import gzip

import pytest

from trainer.core.errors import TrainerError
from trainer.data.corpus import read_corpus

TEXT = "one document\nof two lines\n\n\n\nanother — Ünïcode\n"
ZIPPED = gzip.compress(TEXT.encode(), mtime=0)


@pytest.mark.parametrize(("name", "content"), [("plain.txt", TEXT.encode()), ("packed.txt.gz", ZIPPED)])
def test_documents_are_separated_by_blank_lines(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert read_corpus(tmp_path / name) == ["one document\nof two lines", "another — Ünïcode"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "does not exist"),
        ("blank.txt", b"\n\n \n\n", "holds no text"),
        ("latin.txt", "Ünïcode".encode("latin-1"), "cannot be read as UTF-8 text"),
        ("plain.txt.gz", b"not zipped", "cannot be read as UTF-8 text"),
        ("cut.txt.gz", ZIPPED[:-9], "cannot be read as UTF-8 text"),
        ("broken.txt.gz", ZIPPED[:12] + b"\xff" * 12 + ZIPPED[24:], "cannot be read as UTF-8 text"),
    ],
)
def test_what_holds_no_text_is_named(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainerError, match=rf"null_space\.corpus: .*{name} {message}"):
        read_corpus(tmp_path / name)
