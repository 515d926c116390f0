"""Use models: give texts their probability, continue, translate and rescore them, serve and exchange the models.

Everything here opens a model through lmpipe.evaluate.scorer.
"""
