"""Realistic newcomers with a known truth behind them, and the mess that real streams carry."""

from ._days import Message, Product, simulate
from ._history import simulate_history, simulate_log
from ._mess import Mess, mess, record_of, write_ndjson
from ._people import COUNTRIES, USER_AGENTS, Newcomer

__all__ = [
    "COUNTRIES",
    "USER_AGENTS",
    "Mess",
    "Message",
    "Newcomer",
    "Product",
    "mess",
    "record_of",
    "simulate",
    "simulate_history",
    "simulate_log",
    "write_ndjson",
]
