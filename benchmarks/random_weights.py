"""Sequence classifiers and LoRA adapters with random weights on which a comparison of two implementations means
something. Building them is all this file does; benchmarks.standins lays them out as checkpoints.

- Linear weights have a standard deviation of 1/sqrt(fan_in), which keeps activations near unit scale through the
  depth and gives attention scores a standard deviation of about 1. With the 0.02 that libraries start training from,
  every softmax of these widths is nearly uniform, and an error in attention would hide.
- LayerNorm gains and all biases are random too, so that one that is swapped or dropped shows.
- The output layer is scaled on a few random rows, so that classification logits differ by about 1 from text to text
  and a regression output spreads within about 0..1.
"""

from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from assay.errors import AssayError

# Standard deviation of LayerNorm gains around 1, and of biases around 0.
GAIN_SPREAD = 0.1
BIAS_SPREAD = 0.1

# Rows that the output layer is scaled on, and the range of their lengths without special tokens (tokens of real
# questions and prompts: half are under 46, one in a hundred is over 112 or, for long prompts, over 1,246).
CALIBRATION_ROWS = 16
CALIBRATION_LENGTHS = (8, 96)

# How far the adapter's A and B are moved from their PiSSA start, as a part of each matrix's own standard deviation:
# at the start itself base and adapter together are exactly the base, and a merge that did nothing would pass.
ADAPTER_SHIFT = 0.05


class StandinError(AssayError):
    """A stand-in cannot be built from what was given."""


def random_classifier(settings: dict[str, Any], tokenizer: Tokenizer, generator: torch.Generator) -> Any:
    """A sequence classifier of transformers with the shape in `settings` (the contents of a config.json).

    Raises:
        StandinError: transformers knows no such architecture, or the tokenizer has ids past the config's vocab_size.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.modeling_utils import no_init_weights

    if "model_type" not in settings:
        raise StandinError("the config has no model_type: pass the config.json of a checkpoint")
    try:
        config = AutoConfig.for_model(**settings)
        with no_init_weights():  # every parameter is drawn below
            model = AutoModelForSequenceClassification.from_config(config).eval()
    except ValueError as error:
        found = settings["model_type"]
        raise StandinError(f"model_type is {found!r}: transformers has no sequence classifier of that name") from error
    if tokenizer.get_vocab_size() > config.vocab_size:
        raise StandinError(
            f"the tokenizer has {tokenizer.get_vocab_size()} tokens and the config's vocab_size is "
            f"{config.vocab_size}: pass a config and a tokenizer that belong together"
        )
    randomise(model, generator)
    scale_output(model, tokenizer, generator)
    return model


def randomise(model: Any, generator: torch.Generator) -> None:
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


def scale_output(model: Any, tokenizer: Tokenizer, generator: torch.Generator) -> None:
    """Redraw the output layer so that over random rows each logit has mean 0 and standard deviation 1
    (classification), or mean 0.5 and standard deviation 0.2 (one output)."""
    num_labels = model.config.num_labels
    centre, spread = (0.5, 0.2) if num_labels == 1 else (0.0, 1.0)
    output = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == num_labels][-1]

    inputs: list[torch.Tensor] = []
    hook = output.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].reshape(1, -1)))
    try:
        with torch.no_grad():
            for _ in range(CALIBRATION_ROWS):
                model(input_ids=random_row(model.config, tokenizer, generator))
    finally:
        hook.remove()
    features = torch.cat(inputs)  # [rows, hidden]
    mean = features.mean(dim=0)

    weight = torch.empty_like(output.weight).normal_(generator=generator)  # [labels, hidden]
    # Without the part along the mean feature, logits carry no large constant for the bias to cancel.
    weight -= torch.outer(weight @ mean, mean) / mean.dot(mean)
    weight *= spread / ((features - mean) @ weight.T).std(dim=0).unsqueeze(1)
    with torch.no_grad():
        output.weight.copy_(weight)
        if output.bias is not None:
            output.bias.normal_(centre, BIAS_SPREAD * spread, generator=generator)


def random_row(config: Any, tokenizer: Tokenizer, generator: torch.Generator) -> torch.Tensor:
    """Random tokens [1, sequence] between the tokenizer's special tokens: one text for a model with one output, a
    pair for a classifier, as a cross-encoder reads it."""
    pair = config.num_labels > 1
    special = (tokenizer.encode("", "") if pair else tokenizer.encode("")).ids
    length = int(torch.randint(*CALIBRATION_LENGTHS, (1,), generator=generator))
    body = torch.randint(config.vocab_size, (length,), generator=generator).tolist()
    first = length // 3 if pair else 0
    return torch.tensor([special[:1] + body[:first] + special[1:-1] + body[first:] + special[-1:]])


def random_adapter(
    model: Any, lora: dict[str, Any], base_name: str, tokenizer: Tokenizer, generator: torch.Generator
) -> Any:
    """`model` wrapped by peft with the LoRA in `lora` (the contents of an adapter_config.json), moved off its start.

    Where `lora` says PiSSA, peft turns the wrapped weights into its residual in place
    (https://arxiv.org/abs/2404.02948) and does so again whenever the adapter is loaded: save the base before.
    `base_name` is what the saved adapter_config.json will name as its base.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(generator.initial_seed())  # peft draws from the global generator
    model.name_or_path = base_name  # where peft takes base_model_name_or_path from
    changed = {"base_model_name_or_path": base_name, "inference_mode": False}
    settings = {key: value for key, value in lora.items() if key != "peft_type"} | changed
    adapted: Any = get_peft_model(model, LoraConfig(**settings)).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                noise = torch.empty_like(parameter).normal_(generator=generator)
                parameter.add_(ADAPTER_SHIFT * parameter.std() * noise)
    scale_output(adapted, tokenizer, generator)  # now of the classifier that modules_to_save keeps
    return adapted
