"""The embedded stack: a real Kafka and a real Elasticsearch, from their published jars, as local processes.

>>> with Stack() as stack:
...     print(stack.kafka, stack.elasticsearch)
"""

from usher.stack._errors import MissingTool, StackError
from usher.stack._stack import Stack

__all__ = ["MissingTool", "Stack", "StackError"]
