"""Text in, model bundle out: the only part of nextword that knows torch.

Must not know: the service.
"""
