"""What a run reads: the corpus, in its folder, and the windows to train and to validate on.

Must not know: the model, the optimiser.
"""

from __future__ import annotations

from pathlib import Path

from training import checkpoint
from training.checkpoint import RunInfo
from training.config import RunConfig
from training.corpus import (
    Corpus,
    Ids,
    Windows,
    load_corpus,
    open_tokens,
    side_by_side,
    token_file,
)
from training.distributed import ALONE, Ranks
from training.errors import RunError
from training.openings import find_openings
from training.resume import check_same_run
from training.start import Start


def take_in(
    recipe: str,
    config: RunConfig,
    data: Path,
    out: Path,
    ranks: Ranks,
    begin: Start | None,
    *,
    resume: bool,
    field: str | None,
) -> tuple[Corpus, Windows]:
    """The corpus, and this process' windows over it.

    Its ids lie in files of the run's folder, which the first process makes for all.

    Raises CorpusError, ConfigError where the streams cannot be shared, RunError where the folder
    holds another run or cannot be written.
    """
    ranks.share(config.batch)  # before any work
    if ranks.first:
        checkpoint.check_folder(out, resume=resume)
        try:
            corpus = load_corpus(
                data,
                config.text,
                config.vocabulary,
                tokenizer=begin.tokenizer if begin else None,
                field=field,
                tokens=out,
            )
        except OSError as error:
            raise RunError(f"{out}: {error.strerror}") from error
        # Before a run is begun, so that none is where the corpus lacks something.
        windows = _training_windows(corpus, config, ranks)
        began_with = begin.sha256 if begin else None
        info = RunInfo(recipe, config, corpus.name, corpus.sha256, began_with)
        if resume:
            check_same_run(out, info)
        else:
            checkpoint.create_run(out, info, corpus.tokenizer)
    ranks.wait()
    if not ranks.first:
        info, tokenizer = checkpoint.read_info(out), checkpoint.read_tokenizer(out)
        train, valid = (open_tokens(token_file(out, split)) for split in ("train", "valid"))
        corpus = Corpus(tokenizer, train, valid, info.corpus_name, info.corpus_sha256)
        windows = _training_windows(corpus, config, ranks)
    return corpus, windows


def _training_windows(corpus: Corpus, config: RunConfig, ranks: Ranks) -> Windows:
    """Windows over this process' streams of the training text; CorpusError where it is too short.

    Behind the streams stand beginnings of documents, where the configuration asks for them.
    """
    ids_NB = side_by_side(corpus.train, config.batch)[:, ranks.share(config.batch)]
    openings = None
    if config.openings:
        own = ranks.share(config.openings, "openings")
        newline_id = corpus.tokenizer.newline_id
        openings = find_openings(corpus.train, newline_id, config.openings, config.seed, own)
    return Windows(ids_NB, config.bptt, config.seed if config.vary_bptt else None, openings)


def validation_windows(ids: Ids, config: RunConfig, ranks: Ranks = ALONE) -> Windows:
    """Windows over a validation text: as many streams as give each some length.

    Each process has its share of them, or all where they cannot be shared evenly.
    """
    batch = max(1, min(config.batch, len(ids) // (4 * config.bptt)))
    batch = max(1, batch // ranks.world) * ranks.world if batch >= ranks.world else batch
    ids_NB = side_by_side(ids, batch)
    own = ranks.share(batch) if batch >= ranks.world else slice(None)
    return Windows(ids_NB[:, own], config.bptt)
