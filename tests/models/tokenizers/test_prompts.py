"""Chat templates and stop tokens: of folders, of GGUF files, and of SmolLM2 as transformers renders it."""

import json

import gguf
import numpy as np
import pytest

import models

CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<answer>{% endif %}"
)


def rules(template, **more):
    return models.PromptRules(chat_template=template, source="here", **more)


def test_template_gets_messages_tokens_and_the_begin_of_an_answer():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert rules("{{ bos_token }}" + CHAT, special_tokens={"bos_token": "<s>"}).render(messages) == (
        "<s><system>Be brief.<user>Hi<answer>"
    )


def test_blocks_take_no_lines_and_json_is_plain():
    """As transformers sets Jinja up: templates are written for it."""
    template = "{% for m in messages %}\n  {% if loop.first %}\n{{ m | tojson }}\n  {% endif %}\n{% endfor %}"
    assert rules(template).render([{"role": "user", "content": "<é>"}]) == '{"role": "user", "content": "<é>"}\n'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "here has no chat template"),
        ("{% for %}", "the chat template of here fails"),
        ("{{ raise_exception('no system message') }}", "the chat template of here fails: no system message"),
        ("{{ messages[0]['content'] + 1 }}", "the chat template of here fails"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "the chat template of here fails: .*unsafe"),
        ("{{ messages.append(1) }}", "the chat template of here fails: .*unsafe|not safely callable"),
        ("{% for i in range(10**9) %}x{% endfor %}", "the chat template of here fails: .*Range too big"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_refused(template, message):
    with pytest.raises(ValueError, match=message):
        rules(template).render([{"role": "user", "content": "Hi"}])


def written(folder, **files):
    for name, content in files.items():
        path = folder / {"template": "chat_template.jinja"}.get(name, f"{name}.json")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return models.load(folder, progress=False).prompts


def test_folder_states_template_and_stop_tokens(copied):
    folder = copied("smollm2")
    config = json.loads((folder / "config.json").read_text())
    assert written(folder, config=config | {"eos_token_id": 5}).stop_tokens == (5,)
    found = written(
        folder,
        generation_config={"eos_token_id": [7, 9]},
        tokenizer_config={
            "chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": CHAT}],
            "bos_token": {"content": "<s>"},
            "eos_token": "</s>",
        },
    )
    assert found.stop_tokens == (7, 9)
    assert found.chat_template == CHAT
    assert found.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}
    assert written(folder, template="{{ 1 }}").chat_template == "{{ 1 }}"
    with pytest.raises(ValueError, match=r"generation_config.json: eos_token_id is 64; the model has tokens 0 to 63"):
        written(folder, generation_config={"eos_token_id": 64})


def test_folder_without_such_files_has_no_rules(given):
    assert given("llama-2").model.prompts.chat_template is None


def test_gguf_states_template_stop_tokens_and_the_first_token(write_gguf, tensors, config):
    names = ["<s>", "</s>", "<end>", *(chr(ord("a") + n) for n in range(config.vocabulary - 3))]

    def edit(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(names)
        writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (config.vocabulary - 3))
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)
        writer.add_eot_token_id(2)
        writer.add_add_bos_token(True)
        writer.add_chat_template("{{ bos_token }}" + CHAT)

    path = write_gguf(tensors(), edit=edit)
    tokenizer, found = models.read_prompts(path)
    assert found.stop_tokens == (1, 2)
    assert found.render([{"role": "user", "content": "ab"}]) == "<s><user>ab<answer>"
    np.testing.assert_array_equal(tokenizer.encode("ab", ends=True), [0, 3, 4])
    np.testing.assert_array_equal(tokenizer.encode("ab"), [3, 4])
    np.testing.assert_array_equal(models.load(path, progress=False).prompt("ab"), [0, 3, 4])


def test_smollm2_renders_the_template_of_its_file(smollm2):
    text = smollm2.tokenizer.decode(smollm2.chat("What is the capital of Italy?"))
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhat is the capital of Italy?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert smollm2.prompts.stop_tokens == (2,)
    np.testing.assert_array_equal(smollm2.prompt("Hi"), smollm2.tokenizer.encode("Hi"))
