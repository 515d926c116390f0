"""Trainings of several sizes and budgets, the law that their losses follow, and what it foretells."""
