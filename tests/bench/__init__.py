"""Benchmarks: each compares with a yardstick in the same run, interleaved, and prints ratios of medians.

They are no tests and nothing fails on a clock. `make bench-NAME` runs tests/bench/NAME.py in a virtual
environment of its own that holds the yardsticks (the extra "bench").
"""
