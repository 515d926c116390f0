"""Fetch raw files from their public servers: the only part of lmpipe that opens the network.

Every module here that knows a kind of server offers `fetch(source, base, data, execution)`, which brings what
the source's `download` table asks for under DATA and returns the files to ingest; what is there already is
not fetched again.
"""
