"""The field's claims as experiments: one file a study, found by name.

Must not know: bundles, ONNX, the service.
"""
