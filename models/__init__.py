"""The hinge between training and serving: the bundle, the tokenizer, the repository.

Must not know: torch, onnxruntime, HTTP, or either of its two users.
"""
