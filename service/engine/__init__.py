"""Runs steps of many sessions through one model, in batches."""
