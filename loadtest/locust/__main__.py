"""Sends the users of one profile to a server and writes down what it answered:

    python -m loadtest.locust --url http://127.0.0.1:8000 --items items.parquet --profile smoke --out results.json

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

from loadtest.locust.oracle.expected_catalog import ExpectedCatalog, read_records
from loadtest.locust.oracle.expected_prior import ExpectedPrior
from loadtest.locust.profiles import PROFILES
from loadtest.locust.scenario import Scenario, make_scenario
from loadtest.locust.users.admins import Merchant, Operator
from loadtest.locust.users.base import ShopUser
from loadtest.locust.users.shoppers import Mailer, Newcomer, Shopper, Visitor

STOP_SECONDS = 120.0
"""How long requests under way may take at the end."""


class StageShape(LoadTestShape):
    """As many users as the profile's stages say, until they have sent `requests`, where there is such a limit."""

    def __init__(self, scenario: Scenario, requests: int | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._scenario = scenario
        self._requests = requests

    def tick(self) -> tuple[int, float] | None:
        """The number of users and how many may start per second; None ends the run. Locust calls this."""
        profile = self._scenario.profile
        number = profile.stage_at(self.get_run_time())  # type: ignore[no-untyped-call]
        enough = self._requests is not None and len(self._scenario.results.samples) >= self._requests
        if number is None or enough:
            return None
        stage = profile.stages[number]
        return stage.users, stage.per_second


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.locust", description="Load a server and check answers.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--items", type=Path, required=True, help="the items in the folder of the served bundle")
    parser.add_argument("--profile", choices=list(PROFILES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="where to write the results, as JSON")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the profile's users")
    parser.add_argument("--seconds", type=float, help="in place of the profile's own time")
    parser.add_argument("--requests", type=int, help="end after about so many, however much time is left")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the profile; returns the process's exit status, 0 whatever was answered."""
    options = parse(arguments)
    profile = PROFILES[options.profile].scaled(options.scale, options.seconds)
    catalog, prior = ExpectedCatalog(read_records(options.items)), ExpectedPrior.beside(options.items)
    scenario = make_scenario(profile, catalog, options.seed, prior)
    environment = run_users(scenario, options.url, options.requests)
    results = scenario.results
    body = results.to_json() | {
        "started": min((sample.began for sample in results.samples), default=time.time()),
        "locust": locust_counts(environment),
    }
    options.out.write_text(json.dumps(body) + "\n", encoding="utf-8")
    return 0


def run_users(scenario: Scenario, url: str, requests: int | None = None) -> Environment:
    """Run the scenario's users against a server; returns when all of them have ended."""
    classes: list[type[ShopUser]] = [Shopper, Visitor, Newcomer, Mailer, Merchant]
    if scenario.profile.swaps:
        classes.append(Operator)
    ShopUser.scenario = scenario
    Merchant.fixed_count = scenario.profile.merchants
    environment = Environment(
        user_classes=list(classes), host=url, shape_class=StageShape(scenario, requests), stop_timeout=STOP_SECONDS
    )

    def remember(exception: Exception, **_: object) -> None:
        scenario.results.errors.append("".join(traceback.format_exception(exception)))

    environment.events.user_error.add_listener(remember)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    runner.start_shape()
    assert runner.shape_greenlet is not None, "start_shape makes it"
    runner.shape_greenlet.join()
    runner.quit()
    return environment


def locust_counts(environment: Environment) -> dict[str, int]:
    """Number of requests by route, as Locust counted them."""
    counts: Counter[str] = Counter()
    for (route, _), entry in environment.stats.entries.items():
        counts[route] += entry.num_requests
    return dict(counts)


if __name__ == "__main__":
    sys.exit(main())
