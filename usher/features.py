"""The one place that names Usher's features, counters and slots, in order.

The SQL, the trainer, the ONNX input and the profile mapping are tested against these lists.
"""

PRODUCT_FEATURES = ("analytics", "automation", "dashboards", "integrations", "reports", "collaboration")
"""Features of the product that a newcomer may come to prefer; the outputs of the classifier, in order."""

ONBOARDING_STEPS = ("create_profile", "connect_data", "invite_team", "first_dashboard", "set_goals")
"""The onboarding steps that can be reordered, in their default order."""

SLOTS = ("welcome_message", "next_step", "feature_highlight", "step_order")
"""Places in the product that a decision fills; OpenFeature flag keys."""

COUNTERS = ("events", "pages_viewed", "steps_completed", "features_used", "content_shown", "content_clicked")
"""What a tile counts. Lifetime: `events_total` and the bare other names; rolling: `<name>_30m`."""

LIFETIME_COUNTERS = ("events_total", *COUNTERS[1:])
ROLLING_COUNTERS = tuple(f"{name}_30m" for name in COUNTERS)

DEVICE_TYPES = ("desktop", "mobile", "tablet", "other")
CONTINENTS = ("AF", "AN", "AS", "EU", "NA", "OC", "SA")

MODEL_INPUTS = (
    *LIFETIME_COUNTERS,
    "sessions_total",
    "active_ms",
    *ROLLING_COUNTERS,
    *(f"used_{name}" for name in PRODUCT_FEATURES),
    *(f"device_{name}" for name in DEVICE_TYPES),
    *(f"continent_{name}" for name in CONTINENTS),
)
"""Columns of the ONNX input, float32, in order. `used_<feature>` = lifetime `Feature Used` count of that feature;
`device_*` and `continent_*` are one-hot (all zero when unknown)."""

INTEREST_INPUTS = tuple(f"used_{name}" for name in PRODUCT_FEATURES)
INTEREST_COMPONENTS = 3
"""A user's `interests`: the first principal components of what they use, in order of the variance they explain."""
