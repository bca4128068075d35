"""The errors of the bundle, the tokenizer and the repository.

Knows: what can be wrong with a model on disk. Must not know: HTTP, torch, onnxruntime.
"""

from __future__ import annotations


class BundleError(Exception):
    """A bundle, its tokenizer or its repository cannot be used as asked."""


class BundleFormatError(BundleError):
    """`bundle.json` is missing, is not JSON, or does not follow the specification."""


class NewerFormatError(BundleFormatError):
    """The bundle was written by a newer nextword than this one."""


class MissingFileError(BundleError):
    """A file that the manifest names is not there."""


class AlteredFileError(BundleError):
    """A file's size or sha256 is not what the manifest says."""


class UnsafePathError(BundleError):
    """A name in the manifest leads out of the bundle's own folder."""


class GraphError(BundleError):
    """An ONNX graph is unreadable, uses a foreign operator, or disagrees with the manifest."""


class TokenizerError(BundleError):
    """A tokenizer file is unreadable, foreign, or of another size than the vocabulary."""


class TextError(BundleError):
    """A text holds something that no tokenizer can read (a NUL, a lone surrogate)."""


class VocabularyError(BundleError):
    """A vocabulary cannot be made as asked, or a token id is outside it."""


class GateError(BundleError):
    """The gates of a bundle cannot be calculated for a text."""


class BundleExistsError(BundleError):
    """There is a bundle at this place already; a version is never overwritten."""


class UnknownModelError(BundleError):
    """The repository holds no model of this name."""


class UnknownVersionError(BundleError):
    """The repository holds the model, but not in this version."""
