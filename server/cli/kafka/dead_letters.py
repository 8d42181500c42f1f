"""Messages that are no events, in a topic of their own: as they came, with headers that say where from and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.api.event_check import Fault
from server.cli.kafka.records import Record
from server.core.errors import ServerError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

__all__ = ["DeadLetters", "DeadLettersUnavailable"]

DELIVERY_SECONDS = 30.0


class DeadLettersUnavailable(ServerError):
    """The topic of dead letters did not take a message."""


class DeadLetters:
    """Writes to the topic of dead letters."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    def write(self, letters: Sequence[tuple[Record, Fault]]) -> None:
        """Returns when the brokers have acknowledged all of them. It blocks, for `DELIVERY_SECONDS` at most.

        Raises DeadLettersUnavailable; any of them may then have been written, and are again when this is repeated. Of a
        message that is too large for the topic only our headers are written, which say where it can be read.
        """
        from confluent_kafka import KafkaError

        failed = self._send(letters)
        large = [place for place, code in failed.items() if code == KafkaError.MSG_SIZE_TOO_LARGE]
        if large:
            again = self._send([letters[place] for place in large], whole=False)
            failed = {place: code for place, code in failed.items() if place not in large}
            failed |= {large[place]: code for place, code in again.items()}
        if failed:
            why = KafkaError(next(iter(failed.values()))).str()
            raise DeadLettersUnavailable(f"{len(failed)} messages could not be written to {self._topic}: {why}")

    def _send(self, letters: Sequence[tuple[Record, Fault]], *, whole: bool = True) -> dict[int, int]:
        """The codes of the errors of those that were not written, by their places."""
        from confluent_kafka import KafkaError, KafkaException

        failed = dict.fromkeys(range(len(letters)), KafkaError._MSG_TIMED_OUT)
        for place, (record, fault) in enumerate(letters):

            def acknowledge(error: KafkaError | None, _: Message, place: int = place) -> None:
                if error is None:
                    failed.pop(place, None)
                else:
                    failed[place] = error.code()

            value, key = (record.value, record.key) if whole else (None, None)
            headers = [*(record.headers if whole else ()), *_headers(record, fault)]
            try:
                self._producer.produce(self._topic, value, key, headers=headers, on_delivery=acknowledge)
            except KafkaException as error:
                failed[place] = error.args[0].code()
        self._producer.flush(DELIVERY_SECONDS)
        return failed


def _headers(record: Record, fault: Fault) -> list[tuple[str, str | bytes | None]]:
    told = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "code": fault.code,
        "reason": fault.reason,
    }
    return [(f"gemserve.{name}", str(what).encode()) for name, what in told.items()]
