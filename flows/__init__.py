"""Prefect flows: order, retries, schedules and what a person watches; the work itself is in lmpipe."""
