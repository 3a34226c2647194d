"""Tokenizer and prompts of a checkpoint whose tensors are not read."""

import os

from models.checkpoints import folder
from models.checkpoints.checkpoint import check_model, stated_shape, within
from models.checkpoints.gguf_file import open_gguf
from models.checkpoints.gguf_tensors import gguf_vocabulary
from models.checkpoints.prompt_files import rules_of_folder, rules_of_gguf
from models.tokenizers.prompts import PromptRules
from models.tokenizers.tokenizer import Tokenizer


def read_prompts(path: str | os.PathLike[str]) -> tuple[Tokenizer, PromptRules]:
    """Return the tokenizer of a checkpoint and what it says of prompts, without reading its tensors.

    Raises:
        FileNotFoundError, ValueError: as `load`, or if there is no tokenizer.
    """
    path = check_model(path)
    vocabulary = stated_shape(path).config.vocabulary
    if path.is_dir():
        if not (path / folder.TOKENIZER).is_file():
            raise ValueError(f"{path} holds no tokenizer")
        return Tokenizer.from_file(path / folder.TOKENIZER), rules_of_folder(path, vocabulary)
    reader = open_gguf(path)
    stored = within(path, gguf_vocabulary, reader)
    if stored is None:
        raise ValueError(f"{path} holds no tokenizer")
    return within(path, Tokenizer, stored), rules_of_gguf(reader, path, vocabulary)
