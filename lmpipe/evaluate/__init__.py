"""Score held-out documents: sums per document, so that every perplexity is a view over them."""
