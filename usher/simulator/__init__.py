"""Realistic newcomers with a known truth behind them, and the mess that real streams carry."""

from ._days import Message, simulate
from ._history import History, simulate_history
from ._mess import Mess, mess, record_of, write_ndjson
from ._people import COUNTRIES, USER_AGENTS, Newcomer

__all__ = [
    "COUNTRIES",
    "USER_AGENTS",
    "History",
    "Mess",
    "Message",
    "Newcomer",
    "mess",
    "record_of",
    "simulate",
    "simulate_history",
    "write_ndjson",
]
