"""Sends the customers of one profile to a server, and writes down what it answered:

    python -m loadtest.locust --url http://127.0.0.1:8000 --items items.parquet --profile smoke --out record.json

`python -m loadtest.load` starts this beside a server of its own and makes a report of it.
"""

from locust import LoadTestShape  # first: it patches the standard library for gevent

# isort: split
import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from locust.env import Environment

from loadtest.locust.customer import Customer
from loadtest.locust.people import Mailer, Newcomer, Shopper, Visitor
from loadtest.locust.profiles import PROFILES
from loadtest.locust.shop import Shop, open_shop
from loadtest.locust.staff import Merchant, Operator
from loadtest.locust.stock import Stock, read_records

STOP_SECONDS = 120.0
"""How long requests under way may take at the end."""


class StageShape(LoadTestShape):
    """As many customers as the profile's stages say, until they have sent enough, where there is a limit."""

    def __init__(self, shop: Shop, requests: int | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shop = shop
        self._requests = requests

    def tick(self) -> tuple[int, float] | None:
        number = self._shop.profile.stage_at(self.get_run_time())  # type: ignore[no-untyped-call]
        enough = self._requests is not None and len(self._shop.record.samples) >= self._requests
        if number is None or enough:
            return None
        stage = self._shop.profile.stages[number]
        return stage.users, stage.per_second


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.locust", description="Load a server and judge answers.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--items", type=Path, required=True, help="the items of the served bundle, a Parquet file")
    parser.add_argument("--profile", choices=list(PROFILES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="where to write the record, as JSON")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the profile's customers")
    parser.add_argument("--seconds", type=float, help="in place of the profile's own time")
    parser.add_argument("--requests", type=int, help="end after about so many, however much time is left")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The process's exit status: 0 whatever was answered."""
    options = parse(arguments)
    profile = PROFILES[options.profile].scaled(options.scale, options.seconds)
    shop = open_shop(profile, Stock(read_records(options.items)), options.seed)
    environment = send_customers(shop, options.url, options.requests)
    body = shop.record.to_json() | {
        "started": min((sample.began for sample in shop.record.samples), default=time.time()),
        "locust": locust_counts(environment),
    }
    options.out.write_text(json.dumps(body) + "\n", encoding="utf-8")
    return 0


def send_customers(shop: Shop, url: str, requests: int | None = None) -> Environment:
    """Returns when every customer has left."""
    classes: list[type[Customer]] = [Shopper, Visitor, Newcomer, Mailer, Merchant]
    if shop.profile.swaps:
        classes.append(Operator)
    Customer.shop = shop
    Merchant.fixed_count = shop.profile.merchants
    environment = Environment(
        user_classes=list(classes), host=url, shape_class=StageShape(shop, requests), stop_timeout=STOP_SECONDS
    )

    def remember(exception: Exception, **_: object) -> None:
        shop.record.errors.append("".join(traceback.format_exception(exception)))

    environment.events.user_error.add_listener(remember)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    runner.start_shape()
    assert runner.shape_greenlet is not None, "start_shape makes it"
    runner.shape_greenlet.join()
    runner.quit()
    return environment


def locust_counts(environment: Environment) -> dict[str, int]:
    """Requests by route, as Locust counted them."""
    counts: Counter[str] = Counter()
    for (route, _), entry in environment.stats.entries.items():
        counts[route] += entry.num_requests
    return dict(counts)


if __name__ == "__main__":
    sys.exit(main())
