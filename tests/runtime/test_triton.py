"""The Triton repository: its config.pbtxt against Triton's own schema, its graph against the bundle's answers.

triton_model_config.binpb is the FileDescriptorProto of triton-inference-server/common's model_config.proto (BSD
3-clause, NVIDIA), as tritonclient 2.73 carries it in tritonclient.grpc.model_config_pb2.DESCRIPTOR.serialized_pb.
tritonclient itself wants an older protobuf than the export has.
"""

import json
import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

import assay
from assay import BundleError, Classifier, InputError, triton
from assay.cli.main import main
from tests.runtime import tiny

EXAMPLE = Path(__file__).parents[2] / "examples" / "triton_client.py"
SCHEMA = Path(__file__).parent / "triton_model_config.binpb"


@pytest.fixture(scope="module")
def model_config() -> Any:
    """The message class inference.ModelConfig."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(SCHEMA.read_bytes()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def config(model: Path, model_config: Any) -> Any:
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), model_config())


def kind(parsed: Any) -> str:
    (group,) = parsed.instance_group
    assert group.count == 1
    return str(group.DESCRIPTOR.enum_types_by_name["Kind"].values_by_number[group.kind].name)


def data_type(field: Any) -> str:
    return str(field.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[field.data_type].name)


@pytest.fixture
def fp16_bundle(tmp_path: Path) -> Path:
    """A bundle with a graph called fp16, which refers to its weights by a name of their own."""
    variants = tiny.document()["variants"]
    fp16 = tiny.entry("onnx/model_fp16.onnx", ["input_ids", "attention_mask"], "model_fp16.onnx_data")
    return tiny.write(
        tmp_path / "fp16", variants=variants | {"fp16": {"portable": fp16 | {"graph_optimization": "basic"}}}
    )


def test_there_is_a_model_for_each_kind_of_instance(fp16_bundle: Path, tmp_path: Path, model_config: Any) -> None:
    written = triton.write(fp16_bundle, tmp_path / "models")
    assert {name: choice.variant for name, choice in written.items()} == {"tiny_cpu": "fp32", "tiny_gpu": "fp16"}
    for name, expected, level in (("tiny_cpu", "KIND_CPU", 0), ("tiny_gpu", "KIND_GPU", -1)):
        parsed = config(tmp_path / "models" / name, model_config)
        assert kind(parsed) == expected
        assert (parsed.backend, parsed.default_model_filename, parsed.max_batch_size) == (
            "onnxruntime",
            "model.onnx",
            8,
        )
        assert [(field.name, data_type(field), list(field.dims)) for field in parsed.input] == [
            ("input_ids", "TYPE_INT64", [-1]),
            ("attention_mask", "TYPE_INT64", [-1]),
        ]
        (output,) = parsed.output
        assert (output.name, data_type(output), list(output.dims)) == ("logits", "TYPE_FP32", [3])
        assert parsed.dynamic_batching.max_queue_delay_microseconds == 2_000
        assert parsed.dynamic_batching.default_queue_policy.max_queue_size == 128
        assert parsed.optimization.graph.level == level


def test_a_gpu_has_the_options_of_the_runtime(fp16_bundle: Path, tmp_path: Path, model_config: Any) -> None:
    triton.write(fp16_bundle, tmp_path / "models")
    (accelerator,) = config(
        tmp_path / "models" / "tiny_gpu", model_config
    ).optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "cuda"
    assert accelerator.parameters["use_tf32"] == "0"
    assert "device_id" not in accelerator.parameters  # Triton places the instances
    cpu = config(tmp_path / "models" / "tiny_cpu", model_config)
    assert not cpu.HasField("optimization")


def test_without_fp16_a_gpu_uses_fp32(pair_bundle: Path, tmp_path: Path) -> None:
    written = triton.write(pair_bundle, tmp_path / "models", name="judge-1.0")
    assert {name: choice.graph.file for name, choice in written.items()} == {
        "judge-1.0_cpu": "onnx/model.onnx",
        "judge-1.0_gpu": "onnx/model.onnx",
    }


def test_inputs_are_those_of_the_graph_and_options_reach_the_file(tmp_path: Path, model_config: Any) -> None:
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    variants = {"fp32": {"portable": tiny.entry("onnx/model.onnx", inputs)}}
    bundle = tiny.write(tmp_path / "bundle", variants=variants)
    triton.write(bundle, tmp_path / "models", max_batch=4, threads=2)
    parsed = config(tmp_path / "models" / "tiny_cpu", model_config)
    assert [field.name for field in parsed.input] == inputs
    assert parsed.max_batch_size == 4
    assert parsed.parameters["intra_op_thread_count"].string_value == "2"
    assert "intra_op_thread_count" not in config(tmp_path / "models" / "tiny_gpu", model_config).parameters


@pytest.mark.parametrize("name", ["tiny_cpu", "tiny_gpu"])
def test_the_written_graph_loads_and_answers_like_the_bundle(name: str, fp16_bundle: Path, tmp_path: Path) -> None:
    triton.write(fp16_bundle, tmp_path / "models")
    model = assay.load(fp16_bundle, threads=1)
    assert isinstance(model, Classifier)
    pairs = [("what causes", "rain"), ("a b", "c")]
    (first, second) = model.encode(pairs, truncate=False)
    assert not isinstance(first, InputError)
    assert not isinstance(second, InputError)
    shutil.rmtree(fp16_bundle)  # nothing may point into it
    session = onnxruntime.InferenceSession(tmp_path / "models" / name / "1" / "model.onnx")
    ids = np.stack([first.ids, second.ids])
    (logits,) = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    np.testing.assert_allclose(logits, model.logits(pairs), atol=1e-6)
    assert logits.dtype == np.float32


def test_a_client_finds_tokenizer_and_labels_next_to_the_graph(pair_bundle: Path, tmp_path: Path) -> None:
    triton.write(pair_bundle, tmp_path / "models")
    for name in ("tiny_cpu", "tiny_gpu"):
        folder = tmp_path / "models" / name
        assert (folder / "tokenizer.json").read_bytes() == (pair_bundle / "tokenizer.json").read_bytes()
        assert json.loads((folder / "assay.json").read_text())["labels"] == list(tiny.LABELS)
        assert sorted(path.name for path in (folder / "1").iterdir()) == ["model.onnx", "model.onnx_data"]


@pytest.mark.parametrize("pair", [("what causes", "rain"), ("a b", ""), ("a b c d e f g", "a " * 30), ("", "b")])
def test_the_example_client_tokenises_like_the_runtime(
    pair: tuple[str, str], pair_bundle: Path, judge: Classifier, tmp_path: Path
) -> None:
    triton.write(pair_bundle, tmp_path / "models")
    client = runpy.run_path(str(EXAMPLE), run_name="example")
    asked = client["Client"](tmp_path / "models" / "tiny_cpu")
    (tokens,) = judge.encode([pair], truncate=False)
    assert not isinstance(tokens, InputError)
    inputs = asked.inputs(*pair)
    assert inputs["input_ids"].shape == (1, 16)  # what this model reads, which is less than the least bucket
    length = int(inputs["attention_mask"].sum())
    np.testing.assert_array_equal(inputs["input_ids"][0, :length], tokens.ids)
    np.testing.assert_array_equal(inputs["token_type_ids"][0, :length], tokens.type_ids)
    assert not inputs["attention_mask"][0, length:].any()


def test_the_example_client_refuses_what_the_runtime_refuses(score_bundle: Path, tmp_path: Path) -> None:
    triton.write(score_bundle, tmp_path / "models")
    client = runpy.run_path(str(EXAMPLE), run_name="example")
    with pytest.raises(ValueError, match="42 tokens, the model reads 16"):
        client["Client"](tmp_path / "models" / "tiny_cpu").inputs("a " * 40)


def test_files_are_links_if_possible_and_copies_otherwise(
    pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (pair_bundle / "onnx" / "model.onnx_data").stat()
    triton.write(pair_bundle, tmp_path / "linked")
    linked = (tmp_path / "linked" / "tiny_cpu" / "1" / "model.onnx_data").stat()
    assert os.path.samestat(source, linked)

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    triton.write(pair_bundle, tmp_path / "copied")
    copied = tmp_path / "copied" / "tiny_cpu" / "1" / "model.onnx_data"
    assert not os.path.samestat(source, copied.stat())
    assert copied.read_bytes() == (pair_bundle / "onnx" / "model.onnx_data").read_bytes()


def test_an_existing_target_is_refused(pair_bundle: Path, tmp_path: Path) -> None:
    for there in (tmp_path / "folder", tmp_path / "file", tmp_path / "dangling"):
        if there.name == "folder":
            there.mkdir()
        elif there.name == "file":
            there.write_text("mine")
        else:
            there.symlink_to(tmp_path / "nowhere")
        with pytest.raises(InputError, match="exists, expected a path that does not exist"):
            triton.write(pair_bundle, there)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "folder"]


def test_a_failure_leaves_nothing_behind(pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(InputError, match=r"No space left on device.*; nothing was left behind"):
        triton.write(pair_bundle, tmp_path / "models")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="cannot be written"):
        triton.write(pair_bundle, tmp_path / "no" / "such" / "models")


def test_a_damaged_bundle_and_one_without_a_portable_graph_are_refused(own_bundle: Path, tmp_path: Path) -> None:
    with (own_bundle / "onnx" / "model.onnx_data").open("r+b") as file:
        file.write(b"\xff")
    with pytest.raises(BundleError, match="is damaged or changed"):
        triton.write(own_bundle, tmp_path / "models")
    variants = {"fp32": {"cpu": tiny.entry("onnx/model_cpu.onnx", ["input_ids"])}}
    bundle = tiny.write(tmp_path / "bundle", variants=variants)
    with pytest.raises(BundleError, match="no portable fp32 graph"):
        triton.write(bundle, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "the model's name is ''"),
        ({"name": "../up"}, "the model's name is '../up'"),
        ({"name": 'a"b'}, "the model's name is"),
        ({"name": 7}, "the model's name is the int 7"),
        ({"max_batch": 0}, "max_batch is the int 0"),
        ({"max_batch": True}, "max_batch is True"),
        ({"threads": 1.5}, r"threads is the float 1\.5"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], words: str, pair_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        triton.write(pair_bundle, tmp_path / "models", **options)


def test_the_command_prints_what_it_wrote(
    pair_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    assert main(["triton", str(pair_bundle), str(out), "--name", "judge", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == {
        "judge_cpu": {"variant": "fp32", "graph": "onnx/model.onnx"},
        "judge_gpu": {"variant": "fp32", "graph": "onnx/model.onnx"},
    }
    assert main(["triton", str(pair_bundle), str(out)]) == 1
    assert "exists, expected a path that does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("out", [5, "a\0b"])
def test_an_object_that_is_not_a_path_is_refused(pair_bundle: Path, out: Any) -> None:
    with pytest.raises(InputError, match="expected the path of a folder to write"):
        triton.write(pair_bundle, out)
