"""Rules that a test published on the session's Kafka would be in force in the next test."""

from kafka.admin import KafkaAdminClient
from waiting import until


def unpublish(address: str) -> None:
    """No rules are published at that broker: those of the directory are in force."""
    admin = KafkaAdminClient(bootstrap_servers=address)
    try:
        if "rules" in admin.list_topics():
            admin.delete_topics(["rules"])
            until(lambda: "rules" not in admin.list_topics(), 30, "the topic to be gone")
    finally:
        admin.close()
