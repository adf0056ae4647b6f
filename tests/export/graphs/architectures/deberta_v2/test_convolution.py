"""A convolution written as a linear layer has torch's results, and every variant of a model with it passes its gate."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from assay_export import export
from assay_export.graphs.architectures.deberta_v2 import convolution
from assay_export.graphs.architectures.deberta_v2.convolution import Convolution
from tests.conftest import CHECKPOINTS
from tests.export.variants.comparable import comparable
from tests.export.variants.int8.stand_ins import write_calibration


@pytest.mark.parametrize(("kernel_size", "groups"), [(1, 1), (3, 1), (3, 2), (5, 3), (7, 6)])
def test_a_folded_weight_has_the_results_of_conv1d(kernel_size: int, groups: int) -> None:
    reach = Convolution(kernel_size, groups, "tanh").reach
    module = torch.nn.Conv1d(6, 6, kernel_size, padding=reach, groups=groups)
    x = torch.randn(1, 6, 11, generator=torch.Generator().manual_seed(0))
    weight = convolution.fold_weight(module.weight.detach().numpy(), groups)
    padded = np.pad(x[0].numpy().T, ((reach, reach), (0, 0)))
    neighbours = np.concatenate([padded[offset : offset + 11] for offset in range(kernel_size)], axis=1)
    bias = module.bias
    assert bias is not None
    expected = module(x)[0].T.detach().numpy()
    np.testing.assert_allclose(neighbours @ weight + bias.detach().numpy(), expected, atol=1e-6)


def add_convolution(folder: Path) -> Path:
    """Write the demo classifier with a convolution of random weights after its first layer."""
    torch.manual_seed(0)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(CHECKPOINTS / "pair-classifier")
    settings = transformers.AutoConfig.from_pretrained(CHECKPOINTS / "pair-classifier")
    settings.conv_kernel_size, settings.conv_act = 3, "gelu"
    module = transformers.AutoModelForSequenceClassification.from_config(settings)
    module.load_state_dict(plain.state_dict(), strict=False)
    module.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(CHECKPOINTS / "pair-classifier" / name, folder / name)
    return folder


def test_every_variant_of_a_model_with_a_convolution_passes_its_gate(tmp_path: Path) -> None:
    others = comparable("fp16", "int8_ort", "int8_qdq", "int8")
    calibration = write_calibration("pairs", tmp_path)
    manifest = export(
        add_convolution(tmp_path / "checkpoint"),
        tmp_path / "bundle",
        variants=["fp32", *others],
        calibration=calibration,
    )
    for name in others:
        for graph in manifest.variants[name].values():
            assert "layer.0.conv.conv" in {layer["layer"] for layer in graph.layers}
