"""HTTP: one file a protocol."""
