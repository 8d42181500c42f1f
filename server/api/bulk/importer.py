"""Imports items line by line, in chunks that are each one change of the catalog, and answers every line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from catalog.data.changes import Change
from catalog.data.reading.id_text import id_text
from catalog.errors import CatalogError
from catalog.snapshot import Snapshot
from server.api.bulk.answering import LineImporter, Result
from server.api.bulk.lines import Line
from server.api.bulk.plan import Action, Plan, Row, plan_of
from server.api.problems import engine_problem
from server.api.schemas.items import item_record
from server.api.schemas.json_text import PARSER
from server.core import errors
from server.core.errors import HistoryUnavailable, Problem
from server.engine.errors import EngineError
from server.serving.sync.catalog_sync import CatalogSync

__all__ = ["MAX_IMPORT_LINES", "Importer"]

MAX_IMPORT_LINES = 100_000

log = structlog.get_logger(__name__)


class NothingToDo(Exception):
    """A chunk after which the catalog would be as it is."""


class Importer(LineImporter):
    """One import of items. dry_run: every line is checked, and nothing is changed."""

    def __init__(
        self, catalog_sync: CatalogSync, action: Action, *, request_id: str, max_line_bytes: int, dry_run: bool
    ) -> None:
        super().__init__("items", request_id=request_id, max_lines=MAX_IMPORT_LINES, max_line_bytes=max_line_bytes)
        self._catalog_sync = catalog_sync
        self._action = action
        self._dry_run = dry_run
        self._tried: Snapshot | None = None  # what a dry run would have made, which nobody gets to see

    async def take(self, chunk: Sequence[Line], ids: dict[int, object], results: dict[int, Result]) -> None:
        rows = await asyncio.get_running_loop().run_in_executor(PARSER, self._read, chunk, ids, results)
        await self._import(rows, results)

    def _read(self, chunk: Sequence[Line], ids: dict[int, object], results: dict[int, Result]) -> list[Row]:
        """The rows of the lines that hold objects; the others have their results. ids: as they were sent, by line."""
        rows: list[Row] = []
        for line in chunk:
            try:
                rows.append(Row(line.index, self._record(line)))
                ids[line.index] = id_text(rows[-1].record.get("item_id"))
            except Problem as problem:
                results[line.index] = problem
        return rows

    def _record(self, line: Line) -> dict[str, Any]:
        return item_record(self.parsed(line), what="an item with its id", whole="the line")

    async def _import(self, rows: Sequence[Row], results: dict[int, Result], *, check_all: bool = False) -> None:
        """Where the catalog does not take all at once: those that it takes, with the reason at each other one."""
        if not rows:
            return
        plan = Plan()

        def changes_of(snapshot: Snapshot) -> list[Change]:
            nonlocal plan
            plan = plan_of(rows, self._action, snapshot, check_all=check_all)
            if not plan.records:
                raise NothingToDo
            return plan.changes

        try:
            await self._carry_out(changes_of)
        except NothingToDo:
            pass
        except CatalogError as error:
            if check_all:
                await self._import_apart(rows, plan, results, error)
            else:
                await self._import(rows, results, check_all=True)
            return
        except Exception as error:
            problem = _failure(error)
            results.update({row.index: problem for row in rows})
            return
        results.update(plan.results)

    async def _import_apart(
        self, rows: Sequence[Row], plan: Plan, results: dict[int, Result], error: CatalogError
    ) -> None:
        """Of sound records, which the catalog does not take together: those of items that it has, then, while there is
        room, new ones. A half that does not fit is halved again, but not the second one where nothing fitted."""
        new = {row.item_id for row in rows if plan.results[row.index] == "inserted"}
        known = [row for row in rows if row.item_id not in new]
        rest = [row for row in rows if row.item_id in new]
        if known:
            await self._import(known, results, check_all=True)
            await self._import(rest, results, check_all=True)
        elif len(new) > 1:
            first = set(sorted(new, key=[row.item_id for row in rest].index)[: len(new) // 2])
            await self._import([row for row in rest if row.item_id in first], results, check_all=True)
            later = [row for row in rest if row.item_id not in first]
            if any(results[row.index] == "inserted" for row in rest if row.item_id in first):
                await self._import(later, results, check_all=True)
            else:
                _refuse(later, plan, results, error)
        else:
            _refuse(rest, plan, results, error)

    async def _carry_out(self, changes_of: Callable[[Snapshot], Sequence[Change]]) -> None:
        if self._dry_run:
            self._tried = await self._catalog_sync.attempt(changes_of, self._tried)
        else:
            await self._catalog_sync.change_newest(changes_of)


def _refuse(rows: Sequence[Row], plan: Plan, results: dict[int, Result], error: CatalogError) -> None:
    """Where a line has no problem of its own."""
    refusal = Problem(errors.INVALID_CHANGE, str(error))
    for row in rows:
        found = plan.results[row.index]
        results[row.index] = found if isinstance(found, Problem) else refusal


def _failure(error: Exception) -> Problem:
    """What a client is told where nothing could be changed. The log has what nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HistoryUnavailable):
        return Problem(errors.HISTORY_UNAVAILABLE, "Redis is away or slow: send the line again, which is harmless")
    if isinstance(error, EngineError):
        return engine_problem(error)
    log.error("internal_error", exc_info=error)
    return Problem(errors.INTERNAL_ERROR, "the log has the reason under this request_id")
