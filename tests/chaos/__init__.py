"""Break everything that can break in a run, again and again, and count what became of the results.

python -m tests.chaos --kills 100 --seed 1
"""
