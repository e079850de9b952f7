"""Observers of facts: logs, metrics, traces."""
