"""Draws sequence classifiers and LoRA adapters with random weights on which two implementations can be compared.

- Linear weights have a standard deviation of 1/sqrt(fan_in), which keeps activations near unit scale in every layer
  and attention scores at a standard deviation of about 1. With the 0.02 that libraries initialise with, every softmax
  of these widths is nearly uniform, and an error in attention would not show.
- LayerNorm gains and all biases are random too, so that swapping or dropping one shows.
- The output layer is scaled on a few random rows, so that classification logits differ by about 1 between texts and
  a regression output is spread over about 0..1.
"""

from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from benchmarks.errors import BenchmarkError

__all__ = ["draw_adapter", "draw_classifier"]

# Standard deviation of LayerNorm gains around 1, and of biases around 0.
GAIN_SPREAD = 0.1
BIAS_SPREAD = 0.1

# Rows that the output layer is scaled on, and the range of their lengths without special tokens. Half of the real
# questions and prompts are under 46 tokens, and one in a hundred is over 112 or, for long prompts, over 1,246.
CALIBRATION_ROWS = 16
CALIBRATION_LENGTHS = (8, 96)

# How far the adapter's A and B are moved from their PiSSA initialisation, in standard deviations of each matrix. At the
# initialisation base and adapter together equal the base, so a merge that did nothing would go unnoticed.
ADAPTER_SHIFT = 0.05


def draw_classifier(settings: dict[str, Any], tokenizer: Tokenizer, generator: torch.Generator) -> Any:
    """Draw a sequence classifier of transformers with the shape in `settings` (the contents of a config.json).

    Raises:
        BenchmarkError: transformers has no such architecture, or the tokenizer has ids past the config's vocab_size.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.modeling_utils import no_init_weights

    if "model_type" not in settings:
        raise BenchmarkError("the config has no model_type: pass the config.json of a checkpoint")
    try:
        config = AutoConfig.for_model(**settings)
        with no_init_weights():  # every parameter is drawn below
            model = AutoModelForSequenceClassification.from_config(config).eval()
    except ValueError as error:
        found = settings["model_type"]
        raise BenchmarkError(
            f"model_type is {found!r}: transformers has no sequence classifier of that name; pass another config.json"
        ) from error
    if tokenizer.get_vocab_size() > config.vocab_size:
        raise BenchmarkError(
            f"the tokenizer has {tokenizer.get_vocab_size()} tokens and the config's vocab_size is "
            f"{config.vocab_size}: pass a config and a tokenizer that belong together"
        )
    draw_parameters(model, generator)
    draw_output(model, tokenizer, generator)
    return model


def draw_parameters(model: Any, generator: torch.Generator) -> None:
    """Draw every parameter of `model` in place, in the order of its parameter list."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if id(parameter) in embeddings:
                parameter.normal_(0.0, model.config.initializer_range, generator=generator)
            elif parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0.0, fan_in**-0.5, generator=generator)
            elif name.endswith("weight"):
                parameter.normal_(1.0, GAIN_SPREAD, generator=generator)
            else:
                parameter.normal_(0.0, BIAS_SPREAD, generator=generator)


def draw_output(model: Any, tokenizer: Tokenizer, generator: torch.Generator) -> None:
    """Draw the output layer again, so that over random rows each logit has mean 0 and standard deviation 1.

    A single output (regression) gets mean 0.5 and standard deviation 0.2.
    """
    num_labels = model.config.num_labels
    centre, spread = (0.5, 0.2) if num_labels == 1 else (0.0, 1.0)
    output = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == num_labels][-1]

    inputs: list[torch.Tensor] = []
    hook = output.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].reshape(1, -1)))
    try:
        with torch.no_grad():
            for _ in range(CALIBRATION_ROWS):
                model(input_ids=draw_row(model.config, tokenizer, generator))
    finally:
        hook.remove()
    features = torch.cat(inputs)  # [rows, hidden]
    mean = features.mean(dim=0)

    weight = torch.empty_like(output.weight).normal_(generator=generator)  # [labels, hidden]
    # Without the part along the mean feature, logits have no large constant for the bias to cancel.
    weight -= torch.outer(weight @ mean, mean) / mean.dot(mean)
    weight *= spread / ((features - mean) @ weight.T).std(dim=0).unsqueeze(1)
    with torch.no_grad():
        output.weight.copy_(weight)
        if output.bias is not None:
            output.bias.normal_(centre, BIAS_SPREAD * spread, generator=generator)


def draw_row(config: Any, tokenizer: Tokenizer, generator: torch.Generator) -> torch.Tensor:
    """Draw random tokens [1, sequence] between the tokenizer's special tokens.

    A model with one output gets a text, a classifier gets a pair, as a cross-encoder does.
    """
    pair = config.num_labels > 1
    special = (tokenizer.encode("", "") if pair else tokenizer.encode("")).ids
    length = int(torch.randint(*CALIBRATION_LENGTHS, (1,), generator=generator))
    body = torch.randint(config.vocab_size, (length,), generator=generator).tolist()
    first = length // 3 if pair else 0
    return torch.tensor([special[:1] + body[:first] + special[1:-1] + body[first:] + special[-1:]])


def draw_adapter(
    model: Any, lora: dict[str, Any], base_name: str, tokenizer: Tokenizer, generator: torch.Generator
) -> Any:
    """Wrap `model` with a LoRA adapter of peft, and move the adapter off its initialisation.

    With PiSSA, peft turns the wrapped weights into its residual in place (https://arxiv.org/abs/2404.02948) and does
    so again whenever the adapter is loaded. Save the base before.

    Args:
        model: The base, which is changed.
        lora: The contents of an adapter_config.json.
        base_name: The base that the saved adapter_config.json names.
        tokenizer: The base's tokenizer.
        generator: Where all random numbers come from.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(generator.initial_seed())  # peft draws from the global generator
    model.name_or_path = base_name  # peft takes base_model_name_or_path from it
    changed = {"base_model_name_or_path": base_name, "inference_mode": False}
    settings = {key: value for key, value in lora.items() if key != "peft_type"} | changed
    adapted: Any = get_peft_model(model, LoraConfig(**settings)).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                noise = torch.empty_like(parameter).normal_(generator=generator)
                parameter.add_(ADAPTER_SHIFT * parameter.std() * noise)
    draw_output(adapted, tokenizer, generator)  # now the classifier that modules_to_save keeps
    return adapted
