"""What the files of analytics say, asked with SQL by DuckDB.

A *search* is the first page of an answer to what somebody typed. Somebody who types on, or takes letters back, within
INTENT_SECONDS and has clicked nothing meanwhile makes one *intent*, which is what counts. A *click* is an event, other
than an impression or a dislike, that names an answer and one of its items; a *conversion* is a purchase among these.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from server.analytics.sequential import compare, rate

__all__ = ["AnalyticsTimeout", "Reports", "Window"]

INTENT_SECONDS = 10
MEMORY = "512MB"
SECONDS = 10.0
"""That one report may take."""
CONVERSION = "purchase"

Missing = Literal["results", "clicks"]

INTENTS = f"""
WITH clicks AS (
    SELECT e.request_id, e.item, e.type, e.value
    FROM events e
    WHERE e.request_id IS NOT NULL AND e.type NOT IN ('impression', 'dislike')
), answered AS (
    SELECT a.*, c.clicked, c.converted, c.value, c.position
    FROM answers a LEFT JOIN (
        SELECT a.thread, count(*) > 0 AS clicked, count(*) FILTER (c.type = '{CONVERSION}') > 0 AS converted,
               sum(c.value) FILTER (c.type = '{CONVERSION}') AS value,
               min(list_position(a.items, c.item) + a.first - 1) AS position
        FROM answers a JOIN clicks c ON a.request_id = c.request_id AND list_contains(a.items, c.item)
        GROUP BY a.thread
    ) c ON a.thread = c.thread
    WHERE a.first = 1
), next AS (
    SELECT *, lead(query) OVER typing AS next_query, lead("at") OVER typing AS next_at
    FROM answered
    WINDOW typing AS (PARTITION BY kind, coalesce("user", place) ORDER BY "at", place)
), intents AS (
    SELECT * FROM next
    WHERE clicked OR query IS NULL OR next_query IS NULL OR next_at - "at" > {1000 * INTENT_SECONDS}
        OR NOT (starts_with(next_query, query) OR starts_with(query, next_query)) OR next_query = query
)
"""


class AnalyticsTimeout(Exception):
    """A report took longer than SECONDS."""


@dataclass(frozen=True, slots=True)
class Window:
    """The days that a report is about, both included, by UTC; model: of one version, None for all."""

    first: date
    last: date
    model: str | None = None

    @classmethod
    def latest(cls, days: int = 30) -> Window:
        today = datetime.now(UTC).date()
        return cls(today - timedelta(days=days - 1), today)


class Reports:
    """Reads one folder of files. Everything here is for threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def queries(
        self, window: Window, limit: int, *, without: Missing | None = None, least: int = 1
    ) -> list[dict[str, Any]]:
        """The queries of most intents.

        without: only those that never had results that fit, or were never clicked.
        least: intents of a query that is told.
        """
        having = {
            None: "true",
            "results": "bool_and(len(items) = 0 OR fit = 'none')",
            "clicks": "NOT bool_or(coalesce(clicked, false))",
        }[without]
        sql = f"""{INTENTS}
            SELECT query, count(*) AS intents, count(DISTINCT "user") AS users,
                   count(*) FILTER (coalesce(clicked, false)) AS clicked,
                   count(*) FILTER (coalesce(converted, false)) AS converted,
                   avg(position) AS mean_position, coalesce(sum(value), 0.0) AS value,
                   count(*) FILTER (len(items) = 0 OR fit = 'none') AS unanswered
            FROM intents WHERE kind = 'search' AND query <> ''
            GROUP BY query HAVING count(*) >= ? AND {having}
            ORDER BY intents DESC, query LIMIT ?
        """
        return [_with_rates(row, "intents") for row in self._ask(sql, window, [least, limit])]

    def metrics(self, window: Window) -> list[dict[str, Any]]:
        """By model, kind of answer and day: answers, clicks, positions and conversions."""
        sql = f"""{INTENTS}
            SELECT model, kind, strftime(make_timestamp("at" * 1000), '%Y-%m-%d') AS day, count(*) AS intents,
                   count(DISTINCT "user") AS users,
                   count(*) FILTER (coalesce(clicked, false)) AS clicked,
                   count(*) FILTER (coalesce(converted, false)) AS converted,
                   avg(position) AS mean_position, coalesce(sum(value), 0.0) AS value,
                   count(*) FILTER (len(items) = 0 OR fit = 'none') AS unanswered,
                   count(*) FILTER (degraded) AS degraded
            FROM intents GROUP BY ALL ORDER BY day, kind, model
        """
        return [_with_rates(row, "intents") for row in self._ask(sql, window, [])]

    def experiment(self, window: Window, goal: Literal["click", "conversion"]) -> dict[str, Any]:
        """How many of the users of each model clicked or bought; each is compared with the one of most users.

        Who was answered by several models is left out: nobody knows which of them did it.
        """
        outcome = {"click": "clicked", "conversion": "converted"}[goal]
        sql = f"""{INTENTS}, people AS (
                SELECT "user", min(model) AS model, bool_or(coalesce({outcome}, false)) AS reached
                FROM intents WHERE "user" IS NOT NULL GROUP BY "user" HAVING count(DISTINCT model) = 1
            )
            SELECT model, count(*) AS users, count(*) FILTER (reached) AS reached
            FROM people GROUP BY model ORDER BY users DESC, model
        """
        rows = self._ask(sql, window, [])
        versions = []
        for row in rows:
            own = {**row, "rate": asdict(rate(row["reached"], row["users"]))}
            if row is not rows[0]:
                own["against"] = asdict(compare(row["reached"], row["users"], rows[0]["reached"], rows[0]["users"]))
            versions.append(own)
        decided = [own for own in versions[1:] if own["against"]["decided"]]
        return {
            "goal": goal,
            "baseline": rows[0]["model"] if rows else None,
            "versions": versions,
            "decided": bool(decided),
        }

    def _ask(self, sql: str, window: Window, values: Sequence[Any]) -> list[dict[str, Any]]:
        with _connected(self._folder, window) as connection:
            cursor = connection.execute(sql, list(values))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def _connected(folder: Path, window: Window) -> Any:
    """A database of its own that has the answers of a window, and the events since. Raises AnalyticsTimeout."""
    connection = duckdb.connect(config={"memory_limit": MEMORY, "threads": 1, "allow_unsigned_extensions": "false"})
    timer = threading.Timer(SECONDS, connection.interrupt)
    timer.start()
    try:
        for kind, first, last in (
            ("answers", window.first, window.last),
            ("events", window.first, window.last + timedelta(days=1)),
        ):
            files = str(folder / kind / "day=*" / "*.parquet").replace("'", "''")
            model = "" if kind == "events" or window.model is None else " AND model = getvariable('model')"
            connection.execute("SET VARIABLE model = ?", [window.model])
            connection.execute(
                f"CREATE VIEW {kind} AS SELECT * FROM read_parquet('{files}', hive_partitioning = true,"
                f" hive_types = {{'day': DATE}}) WHERE day BETWEEN DATE '{first}' AND DATE '{last}'{model}"
            )
        yield connection
    except duckdb.InterruptException as error:
        raise AnalyticsTimeout from error
    finally:
        timer.cancel()
        connection.close()


def _with_rates(row: dict[str, Any], trials: str) -> dict[str, Any]:
    of = row[trials]
    return {
        **row,
        "click_rate": asdict(rate(row["clicked"], of)),
        "conversion_rate": asdict(rate(row["converted"], of)),
    }
