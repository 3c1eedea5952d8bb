"""The slot `step_order`: the onboarding steps in the order recommended to each user."""

from collections.abc import Mapping

from usher.features import ONBOARDING_STEPS
from usher.rules.columns import Column, Columns

STEP_FEATURES: dict[str, tuple[str, ...]] = {
    "connect_data": ("integrations", "automation"),
    "invite_team": ("collaboration",),
    "first_dashboard": ("dashboards", "analytics"),
    "set_goals": ("reports",),
}
"""The features that each step leads to; a step is worth the greatest of their probabilities."""


def step_order(columns: Mapping[str, Column], plain: Column | None = None) -> list[list[str]]:
    """For each row: `create_profile`, then the other steps by what the model expects the user to prefer.

    Unknown preferences count 0, equal ones keep the default order; steps in a row's `steps_done` (a list) are left out.
    Rows that are `plain` (of held-out users) keep the default order as well.
    """
    rows = len(next(iter(columns.values()))) if columns else 0
    plain = [False] * rows if plain is None else plain
    batch = Columns(columns, rows)
    worth = {
        step: [batch.number(f"preferences.{name}") for name in features] for step, features in STEP_FEATURES.items()
    }
    done = columns.get("steps_done", [None] * rows)
    return [
        _order({} if plain[row] else {step: max(c[row] for c in found) for step, found in worth.items()}, done[row])
        for row in range(rows)
    ]


def _order(worth: Mapping[str, float], done: object) -> list[str]:
    past = {str(step) for step in done} if isinstance(done, list | tuple | set) else set()
    steps = [step for step in ONBOARDING_STEPS if step not in past]
    return sorted(steps, key=lambda step: -worth.get(step, 2.0))
