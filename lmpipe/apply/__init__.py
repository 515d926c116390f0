"""Use trained models: score, generate, rescore, translate."""
