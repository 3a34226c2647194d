"""What a checkpoint says of prompts: its chat template and the tokens at which a text ends."""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox
import numpy as np

from models.tokenizers.tokenizer import Tokenizer

Message = Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptRules:
    """What a checkpoint says of prompts.

    Attributes:
        chat_template: a Jinja template of a conversation, or None.
        stop_tokens: numbers of the tokens at which a text ends; empty where the files name none.
        special_tokens: the texts of special tokens that templates use, by names such as "bos_token".
        source: what is named in errors.
    """

    chat_template: str | None = None
    stop_tokens: tuple[int, ...] = ()
    special_tokens: Mapping[str, str] = dataclasses.field(default_factory=dict)
    source: str = "the checkpoint"

    def render(self, messages: Sequence[Message]) -> str:
        """Return the text of a conversation, up to where the model's answer begins.

        The template is data of the checkpoint: it runs in Jinja's sandbox, which reaches no files and no modules.

        Args:
            messages: each with "role" ("system", "user" or "assistant") and "content", in their order.

        Raises:
            ValueError: if there is no template, it is no Jinja, or it refuses the messages.
        """
        if self.chat_template is None:
            raise ValueError(f"{self.source} has no chat template; give the whole prompt as text")
        try:
            template = _environment().from_string(self.chat_template)
            return template.render(
                messages=[dict(message) for message in messages], add_generation_prompt=True, **self.special_tokens
            )
        # A template may do to its values what they do not support, which raises any of these.
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise ValueError(f"the chat template of {self.source} fails: {error}") from error

    def encode_chat(self, tokenizer: Tokenizer, messages: str | Sequence[Message]) -> np.ndarray:
        """Return the tokens of a conversation, int32 [length], up to where the model's answer begins.

        Args:
            tokenizer: of the same checkpoint.
            messages: as for `render`; a string is one message of the user.

        Raises:
            ValueError: as `render`.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return tokenizer.encode(self.render(messages))


def _environment() -> jinja2.Environment:
    """Jinja as transformers sets it up for chat templates."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


def _to_json(value: Any, **how: Any) -> str:
    # Jinja's own filter escapes HTML.
    return json.dumps(value, ensure_ascii=False, **how)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
