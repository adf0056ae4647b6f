"""Rewards for TRL, called as its GRPOTrainer calls them; the last test trains a step where TRL is installed."""

import multiprocessing
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, Scorer
from tests.runtime import tiny

TEXTS = ["a", "what causes rain", "rain forms when water is a b", ""]


def make(*arguments: Any, **options: Any) -> Any:
    return assay.integrations.trl.reward(*arguments, **options)


def call(reward: Any, prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
    """Call as GRPOTrainer does (trl 1.16, _calculate_rewards): by keyword, with more than a reward function needs."""
    ids = [[1, 2]] * len(completions)
    found: list[float | None] = reward(
        prompts=prompts, completions=completions, completion_ids=ids, **columns, trainer_state=SimpleNamespace()
    )
    return found


def in_other_process(reward: bytes, completions: list[str]) -> list[float | None]:
    return call(pickle.loads(reward), ["x"] * len(completions), completions)


def test_plain_completions_get_the_models_scores(score_bundle: Path, scorer: Scorer) -> None:
    found = call(make(score_bundle, scale=(0, 100)), ["x"] * 4, TEXTS)
    assert found == scorer.score_batch(TEXTS, scale=(0, 100)).tolist()
    assert all(type(value) is float for value in found)
    evol = call(make(score_bundle, column="evol_complexity"), ["x"] * 4, TEXTS)
    assert evol == scorer.evol_complexity_batch(TEXTS).tolist()
    assert all(type(value) is float for value in evol)


def test_of_a_conversation_the_assistants_last_message_counts(scorer: Scorer) -> None:
    prompt = [{"role": "user", "content": "x"}]
    completions = [
        [{"role": "assistant", "content": "a"}],
        [
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "d"},
            {"role": "assistant", "content": "b c"},
        ],
        [{"role": "assistant", "content": [{"type": "text", "text": "what "}, {"type": "text", "text": "causes"}]}],
    ]
    found = call(make(scorer), [prompt] * 3, completions)
    assert found == scorer.score_batch(["a", "b c", "what causes"]).tolist()


def test_a_pair_is_the_prompt_or_a_column_with_the_completion(pair_bundle: Path, judge: Classifier) -> None:
    label = judge.labels[1]
    expected = [judge.predict_batch([("what causes rain", text)])[0].scores[label] for text in ("a", "b c")]
    chat = [{"role": "system", "content": "d"}, {"role": "user", "content": "what causes rain"}]
    cases: list[tuple[list[Any], dict[str, Any], dict[str, Any]]] = [
        (["what causes rain"] * 2, {}, {}),
        ([chat] * 2, {}, {}),
        (["x"] * 2, {"first": "objective"}, {"objective": ["what causes rain"] * 2, "solution": ["", ""]}),
    ]
    for prompts, options, columns in cases:
        found = call(make(pair_bundle, label=label, **options), prompts, ["a", "b c"], **columns)
        assert found == pytest.approx(expected, rel=1e-6)


def test_a_reward_pickles_and_is_the_same_in_every_process(score_bundle: Path) -> None:
    reward = make(score_bundle)
    here = call(reward, ["x"] * 4, TEXTS)
    data = pickle.dumps(reward)
    assert len(data) < 2_000  # a path and options, not weights
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        answers = pool.starmap_async(in_other_process, [(data, TEXTS)] * 4).get(timeout=120)
    assert answers == [here] * 4


def test_it_has_the_name_under_which_trl_logs_it(score_bundle: Path, pair_bundle: Path) -> None:
    assert make(score_bundle).__name__ == "tiny_score"
    assert make(pair_bundle, label="NOADDR_ON").__name__ == "tiny_NOADDR_ON"


def test_a_completion_without_an_answer_is_an_error_or_left_out(score_bundle: Path, scorer: Scorer) -> None:
    completions = ["a", "nan", "a " * 40]
    with pytest.raises((InputError, assay.NumericalError), match="row 1"):
        call(make(score_bundle), ["x"] * 3, completions)
    with pytest.raises(InputError, match=r"row 0: .*found None, expected a text"):
        call(make(score_bundle), ["x"], [[{"role": "assistant", "content": None}]])
    found = call(make(score_bundle, on_error="null"), ["x"] * 3, completions)
    assert found == [scorer.score("a"), None, None]


@pytest.mark.parametrize(
    ("bundle", "options", "message"),
    [
        ("pair", {}, "label is none, expected the one to reward, of ADDR_DIRECT"),
        ("pair", {"label": "x"}, "label is 'x'"),
        ("pair", {"label": "NOADDR_ON", "scale": (0, 1)}, "which are for a regression"),
        ("pair", {"label": "NOADDR_ON", "first": 3}, "first is the int 3"),
        ("score", {"label": "x"}, "this bundle is a regression"),
        ("score", {"column": "label"}, "column is 'label', expected 'score' or 'evol_complexity'"),
        ("score", {"columns": ["score"]}, "found columns or threshold"),
    ],
)
def test_wrong_options_are_refused_when_the_reward_is_made(
    pair_bundle: Path, score_bundle: Path, bundle: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make({"pair": pair_bundle, "score": score_bundle}[bundle], **options)


def test_a_column_that_the_data_set_lacks_is_told(pair_bundle: Path) -> None:
    reward = make(pair_bundle, label="NOADDR_ON", first="objective")
    with pytest.raises(InputError, match="column 'objective' is missing, found prompt, completion_ids, answer"):
        call(reward, ["x"], ["a"], answer=["b"])


def test_trls_trainer_takes_the_rewards_and_leaves_out_what_has_none(
    score_bundle: Path, pair_bundle: Path, scorer: Scorer, judge: Classifier, tmp_path: Path
) -> None:
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install trl")
    import datasets
    import transformers

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tiny.tokenizer(), unk_token="[UNK]", pad_token="[PAD]", eos_token="[SEP]"
    )
    config = transformers.GPT2Config(
        vocab_size=len(tiny.WORDS), n_positions=64, n_embd=8, n_layer=1, n_head=1, bos_token_id=2, eos_token_id=3
    )
    seen: dict[str, list[Any]] = {}

    def watch(reward: Any) -> Any:
        def watched(**columns: Any) -> list[float | None]:
            rewards: list[float | None] = reward(**columns)
            seen.setdefault(watched.__name__, [columns["completions"], columns["objective"], rewards])
            return rewards

        watched.__name__ = reward.__name__
        return watched

    label = judge.labels[1]
    judged = make(pair_bundle, label=label, first="objective", on_error="null")
    trainer = trl.GRPOTrainer(
        model=transformers.GPT2LMHeadModel(config),
        reward_funcs=[watch(make(score_bundle, scale=(0, 100))), watch(judged)],
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=4,
            generation_kwargs={"suppress_tokens": [tiny.WORDS.index("nan"), tiny.WORDS.index("huge")]},
            use_cpu=True,
            bf16=False,
            report_to=[],
            logging_steps=1,
            disable_tqdm=True,
            seed=1,
        ),
        train_dataset=datasets.Dataset.from_dict({"prompt": ["what causes rain", "a b"], "objective": ["a", None]}),
        processing_class=tokenizer,
    )
    trainer.train()
    logged = {name: value for entry in trainer.state.log_history for name, value in entry.items()}

    completions, _, rewards = seen["tiny_score"]
    assert rewards == scorer.score_batch(completions, scale=(0, 100)).tolist()
    assert logged["rewards/tiny_score/mean"] == pytest.approx(sum(rewards) / 4)

    completions, objectives, rewards = seen[f"tiny_{label}"]
    assert sorted(objectives, key=str) == [None, None, "a", "a"]
    assert [value is None for value in rewards] == [first is None for first in objectives]
    expected = [
        judge.predict("a", text).scores[label] for text, first in zip(completions, objectives, strict=True) if first
    ]
    assert [value for value in rewards if value is not None] == pytest.approx(expected, rel=1e-6)
    assert logged[f"rewards/tiny_{label}/mean"] == pytest.approx(sum(expected) / 2)
