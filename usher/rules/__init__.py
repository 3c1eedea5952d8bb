"""Rules that a marketer can read and a prover has checked: who sees what, in which slot, and why."""

from usher.rules.bundle import Bundle, Decided, DecidedOne
from usher.rules.model import Content, Rule
from usher.rules.problems import Problem, PublishError, RulesError
from usher.rules.served import ServedRules
from usher.rules.why import Verdict, explain

__all__ = [
    "Bundle",
    "Content",
    "Decided",
    "DecidedOne",
    "Problem",
    "PublishError",
    "Rule",
    "RulesError",
    "ServedRules",
    "Verdict",
    "explain",
]
