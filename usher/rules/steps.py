"""The slot `step_order`: the onboarding steps in the order recommended to each user."""

from collections.abc import Mapping

import numpy as np

from usher.features import ONBOARDING_STEPS
from usher.rules.columns import Column, Columns

STEP_FEATURES: dict[str, tuple[str, ...]] = {
    "connect_data": ("integrations", "automation"),
    "invite_team": ("collaboration",),
    "first_dashboard": ("dashboards", "analytics"),
    "set_goals": ("reports",),
}
"""The features that each step leads to; a step is worth the greatest of their probabilities."""


_STEPS = np.array(ONBOARDING_STEPS, dtype=object)


def step_order(columns: Mapping[str, Column], plain: Column | None = None) -> list[list[str]]:
    """For each row: `create_profile`, then the other steps by what the model expects the user to prefer.

    Unknown preferences count 0, equal ones keep the default order; steps in a row's `steps_done` (a list) are left out.
    Rows that are `plain` (of held-out users) keep the default order as well.
    """
    rows = len(next(iter(columns.values()))) if columns else 0
    batch = Columns(columns, rows)
    worth = np.full((len(ONBOARDING_STEPS), rows), np.inf)  # a step that leads to no feature comes first
    for number, step in enumerate(ONBOARDING_STEPS):
        if step in STEP_FEATURES:
            worth[number] = np.max([batch.number(f"preferences.{name}") for name in STEP_FEATURES[step]], axis=0)
    if plain is not None:
        worth[:, np.asarray(plain, dtype=bool)] = 0
    ordered: list[list[str]] = _STEPS[np.argsort(-worth, axis=0, kind="stable").T].tolist()
    if "steps_done" not in columns:
        return ordered
    return [_without(done, steps) for done, steps in zip(columns["steps_done"], ordered, strict=True)]


def _without(done: object, steps: list[str]) -> list[str]:
    past = {str(step) for step in done} if isinstance(done, list | tuple | set) else set()
    return [step for step in steps if step not in past]
