"""Flink's vectorized Python functions: thin shells around `usher`, which knows nothing of Flink."""
