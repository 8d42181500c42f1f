"""A shop's analytics as files, as if its servers had written them."""

import time
from pathlib import Path

from server.analytics.files import AnalyticsFiles
from server.storage.protocol import AnalyticsBatch

DAY_MS = 86_400_000


def write_searches(folder: Path, days: int, users: int, clicking: dict[str, float]) -> None:
    """So many users a day of each version search for "tent", and that share of them clicks; one more finds nothing.

    clicking: by version.
    """
    now = time.time_ns() // 1_000_000
    answers, events = [], []
    for day in range(days):
        for model, share in clicking.items():
            for number in range(users):
                name, at = f"{day}-{model}-{number}", now - day * DAY_MS
                row = {"place": name, "at": at, "request_id": name, "thread": name, "kind": "search", "user": name}
                row |= {
                    "query": "tent",
                    "model": model,
                    "items": ["item-4"],
                    "first": 1,
                    "fit": "all",
                    "degraded": False,
                }
                answers.append(row if number else row | {"query": "qwrtzpl", "items": [], "fit": "none"})
                if 0 < number < share * users:
                    events.append(
                        {
                            **{"place": name, "at": at, "recorded_at": at, "user": name, "event_id": name},
                            **{"item": "item-4", "type": "click", "request_id": name, "value": None},
                        }
                    )
    position = {"seeded": "0"}
    AnalyticsFiles(folder).add({}, AnalyticsBatch(position, answers, events, (), whole=True))
