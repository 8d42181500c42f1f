"""Takes events from topics of Kafka into histories and the event log, beside those that come over HTTP:

    gemserve consume --bootstrap-servers kafka-1:9092,kafka-2:9092 --topic events --dead-letters events-dead-letters \\
        --redis redis://127.0.0.1:6379/0

`python -m server.cli.kafka.consume` is the same; `pip install 'gemserve[kafka]'` has what it needs. Run it beside the
servers, as often as the topics have partitions at most: those of one --group share the partitions.

A message is one event as `POST /events` takes it. An event without an `event_id` gets topic/partition/offset as its
id, and without a `timestamp` the message's. Offsets are committed when Redis has the events, so none is lost, and one
that is read again counts once. A message that is no event goes to the topic of --dead-letters, with the reason.

It ends by SIGTERM with status 0. Status 2: it did not begin; 1: Kafka does not let it go on. Read on in docs/data.md.
"""

from __future__ import annotations

import argparse
import asyncio
import configparser
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from catalog.bundle.disk import access_reason
from catalog.terminal_escapes import printable
from server.cli.kafka.consumer import EventConsumer
from server.cli.kafka.dead_letters import DeadLetters
from server.cli.kafka.records import MAX_TOPIC
from server.cli.metrics_port import add_metrics_arguments, show_metrics
from server.cli.redis_url import add_redis_argument, server_storage
from server.core.errors import ServerError, SettingsError, StartupError
from server.core.logging import configure_logging
from server.core.settings import StorageSettings
from server.storage.redis_history import RedisHistory

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

__all__ = ["main"]

ENDED, LEFT, REFUSED = 0, 1, 2
START_SECONDS = 15.0  # for the brokers to say which topics there are

OURS = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "allow.auto.create.topics": False,
}
"""What makes no message be lost; --kafka-config cannot change it."""
CONSUMER = {"auto.offset.reset": "earliest", "partition.assignment.strategy": "cooperative-sticky"}
PRODUCER = {"enable.idempotence": True, "message.timeout.ms": 20_000}

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.kafka.consume") -> int:
    """The process's exit status. program: how it is called, for its help."""
    options = parse(arguments, program)
    try:
        configure_logging("info")
        storage = server_storage(options.redis, options.namespace)
        group = options.group or "-".join(filter(None, ("gemserve", storage.namespace)))
        consumer, producer = connect(options, group)
        check_topics(consumer, [*options.topic, options.dead_letters], options.bootstrap_servers)
        show_metrics(options)
        consumer.subscribe(options.topic)
        return asyncio.run(consume(consumer, DeadLetters(producer, options.dead_letters), storage, group))
    except (ServerError, OSError) as error:
        print(f"consume: {printable(access_reason(error) or error)}", file=sys.stderr)
        return REFUSED


async def consume(consumer: Consumer, dead_letters: DeadLetters, storage: StorageSettings, group: str) -> int:
    """Takes events until SIGTERM or SIGINT; the exit status."""
    from confluent_kafka import KafkaException

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    history = RedisHistory(storage)
    print(f"gemserve: takes events as {group}", flush=True)
    try:
        for warning in await history.warnings():
            log.warning("events_may_be_lost", reason=warning)
        await EventConsumer(consumer, history, dead_letters).run(stopping)
    except KafkaException as error:
        print(f"consume: Kafka does not let it go on: {error.args[0].str()}", file=sys.stderr)
        return LEFT
    finally:
        await asyncio.to_thread(consumer.close)
        await history.close()
    return ENDED


def connect(options: argparse.Namespace, group: str) -> tuple[Consumer, Producer]:
    """Raises StartupError where Kafka's client is missing, SettingsError where it refuses its settings."""
    try:
        from confluent_kafka import Consumer, KafkaException, Producer
    except ImportError as error:
        raise StartupError(f"{error}: install what consuming needs, pip install 'gemserve[kafka]'") from error

    given = {} if options.kafka_config is None else read_properties(options.kafka_config)
    both = {"bootstrap.servers": options.bootstrap_servers, "client.id": "gemserve", **given}
    logger = logging.getLogger("librdkafka")
    try:
        consumer = Consumer({"group.id": group, **CONSUMER, **both, **OURS}, logger=logger)
        return consumer, Producer({**PRODUCER, **both}, logger=logger)
    except (KafkaException, ValueError) as error:
        raise SettingsError(f"--kafka-config: {error}") from error


def read_properties(path: Path) -> Mapping[str, str]:
    """Settings of librdkafka in a file of lines `name=value`. Raises SettingsError."""
    parser = configparser.ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(f"[kafka]\n{path.read_text(encoding='utf-8')}")
        lines = []
    except configparser.ParsingError as error:
        lines = [number - 1 for number, _ in error.errors]
    except (configparser.Error, UnicodeDecodeError) as error:
        raise SettingsError(f"--kafka-config {path}: {error}") from error
    if lines or parser.sections() != ["kafka"]:
        where = f", line {lines[0]}" if lines else ""  # and not the line itself, which may hold a password
        raise SettingsError(f"--kafka-config {path}{where}: write one setting a line, as name=value")
    found = dict(parser["kafka"])
    for name in found.keys() & (OURS.keys() | {"group.id", "bootstrap.servers"}):
        raise SettingsError(f"--kafka-config {path}: leave {name} out, which the command sets itself")
    return found


def check_topics(consumer: Consumer, topics: Sequence[str], where: str) -> None:
    """Raises StartupError where no broker answers or a topic is missing."""
    from confluent_kafka import KafkaException

    try:
        there = consumer.list_topics(timeout=START_SECONDS).topics
    except KafkaException as error:
        raise StartupError(f"--bootstrap-servers {where}: {error.args[0].str()}") from error
    if missing := [topic for topic in topics if topic not in there]:
        raise StartupError(f"there is no topic {', '.join(missing)}: create it, or name another")


def parse(arguments: Sequence[str] | None, program: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap-servers", required=True, metavar="HOST:PORT,…", help="brokers of the cluster")
    parser.add_argument("--topic", required=True, action="append", help="to take events from; again for another one")
    parser.add_argument("--dead-letters", required=True, metavar="TOPIC", help="for messages that are no events")
    parser.add_argument("--group", help="consumer group (default: gemserve, and the --namespace where there is one)")
    parser.add_argument(
        "--kafka-config", type=Path, metavar="FILE", help="further settings of librdkafka, such as sasl.password=…"
    )
    add_redis_argument(parser)
    add_metrics_arguments(parser)
    options = parser.parse_args(arguments)
    if options.dead_letters in options.topic:
        parser.error("--dead-letters: is one of the topics that events are taken from; name another")
    if long := [topic for topic in options.topic if len(topic) > MAX_TOPIC]:
        parser.error(f"--topic {long[0]}: is longer than {MAX_TOPIC} characters, too long for ids of events")
    return options


if __name__ == "__main__":
    sys.exit(main())
