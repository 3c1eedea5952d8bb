"""The rules in force, kept up to date: ``ServedRules(kafka_login(settings), "conf").bundle.decide_one(user)``."""

import logging
import threading
from types import TracebackType

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from usher.rules.bundle import Bundle
from usher.rules.problems import RulesError
from usher.rules.topic import TOPIC, Login, answers, consumer_of, read_record, records

LOG = logging.getLogger(__name__)
POLL_MS = 500
RETRY_S = 2.0
_LAST = 20
"""Where the newest records are broken, so many are looked through for one that is not."""


class ServedRules:
    """`bundle` is the one in force; it changes as a whole, between two decisions, soon after a new one is published.

    Until anything was published it is that of `directory`. A broken bundle is logged, and the one before it stays;
    while Kafka is away, so does the last one known. Without a login the directory is all there is.
    """

    def __init__(self, login: Login, directory: str) -> None:
        self._login = login
        self._stopped = threading.Event()
        consumer = self._connect()
        found = self._newest(consumer) if consumer is not None else None
        self.bundle = found or Bundle.load(directory)
        self._thread = threading.Thread(target=self._watch, args=(consumer,), daemon=True, name="rules")
        if login:
            self._thread.start()

    def close(self) -> None:
        """Stop following the topic."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def __enter__(self) -> "ServedRules":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _connect(self) -> KafkaConsumer | None:
        if not self._login:
            return None
        try:
            if answers(self._login):  # else the client would insist for seconds
                return consumer_of(self._login)
        except KafkaError as error:
            LOG.warning("Kafka refuses the login (%s).", error)
        LOG.warning("Kafka at %s does not answer: the rules stay as they are.", self._login["bootstrap_servers"])
        return None

    def _newest(self, consumer: KafkaConsumer) -> Bundle | None:
        found = None
        for value in records(consumer, _LAST):
            found = _load(value) or found
        return found

    def _watch(self, consumer: KafkaConsumer | None) -> None:
        while not self._stopped.is_set():
            try:
                consumer = consumer or self._connect()
                if consumer is None or not self._follow(consumer):
                    self._stopped.wait(RETRY_S)
            except KafkaError as error:
                LOG.warning("The topic of the rules cannot be read (%s): they stay as they are.", error)
                self._stopped.wait(RETRY_S)
        if consumer is not None:
            consumer.close()

    def _follow(self, consumer: KafkaConsumer) -> bool:
        """Take what is new; False if there is no such topic yet."""
        if TOPIC not in consumer.assignment():
            if (found := self._newest(consumer)) is not None:
                self.bundle = found
            return TOPIC in consumer.assignment()
        for record in consumer.poll(POLL_MS).get(TOPIC, []):
            if (found := _load(record.value)) is not None:
                self.bundle = found
        return True


def _load(value: bytes | None) -> Bundle | None:
    publication = read_record(value)
    if publication is None:
        LOG.warning("A record of the topic of the rules is no bundle; the rules stay as they are.")
        return None
    try:
        bundle = publication.bundle()
    except RulesError as error:
        LOG.warning("Rules %s are broken and stay out of force: %s", publication.version, error)
        return None
    LOG.info("Rules %s, by %s, are in force.", bundle.version, publication.who)
    return bundle
