"""Use models: give texts their probability, continue them, serve them, exchange them with Hugging Face.

Everything here opens a model through lmpipe.evaluate.scorer.
"""
