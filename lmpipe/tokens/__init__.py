"""Chosen documents to token shards: train a tokenizer, encode, pack in shuffled order."""
