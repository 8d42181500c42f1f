"""docs/errors.md lists every code: clients rely on them, so one that changes or goes must be noticed."""

import re

from server.core import errors
from server.core.errors import ProblemKind
from tests.support.paths import ROOT

LIST = ROOT / "docs" / "errors.md"
ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def kinds() -> list[ProblemKind]:
    return [value for value in vars(errors).values() if isinstance(value, ProblemKind)]


def test_the_list_has_every_kind_as_it_is_and_no_other() -> None:
    listed = {code: (int(status), title) for code, status, title, _ in ROW.findall(LIST.read_text())}
    assert len(listed) == len(ROW.findall(LIST.read_text())), "a code has two rows"
    assert listed == {kind.code: (kind.status, kind.title) for kind in kinds()}


def test_the_list_is_in_order_of_status() -> None:
    statuses = [int(status) for _, status, *_ in ROW.findall(LIST.read_text())]
    assert statuses == sorted(statuses)


def test_no_two_kinds_share_a_code() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
