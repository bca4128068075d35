"""The next-word service: sessions, batching and prediction over HTTP.

Must not know: torch, training.
"""
