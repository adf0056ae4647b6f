"""Train the complexity stand-in: a ModernBERT-shaped base, and a PiSSA LoRA adapter that scores instructions.

The base is pretrained by masked-language modelling and saved as the published one is: encoder, prediction head
(head.dense, head.norm) and decoder bias, but no classifier. The adapter is trained by peft with the base frozen and
carries the classifier in modules_to_save.
"""

import json
import random
from pathlib import Path

import torch
from instruction_text import generate_instructions
from measure import load_scorer, score_instructions
from pair_text import generate_pairs
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_tokenizers import common_words, save_tokenizer, train_byte_level_bpe
from tokenizers import Tokenizer
from training_loop import length_sorted_batches, pad, pad_token_of, take_step
from transformers import AutoModelForSequenceClassification, ModernBertConfig, ModernBertForMaskedLM

MAX_LENGTH = 2048  # tokens
TOKENS_PER_BATCH = 2048
PEAK_LEARNING_RATE = 3e-3
IGNORED = -100  # the target that cross_entropy leaves out


def base_config(tokenizer: Tokenizer) -> ModernBertConfig:
    """Return the configuration of ModernBERT-large with smaller sizes and a smaller local window.

    A window of 16 tokens (8 to either side) is short enough that ordinary instructions reach past it.
    """
    ids = {name: tokenizer.token_to_id(f"[{name.upper()}]") for name in ("cls", "sep", "pad")}
    return ModernBertConfig(
        vocab_size=-(-tokenizer.get_vocab_size() // 64) * 64,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=MAX_LENGTH,
        global_attn_every_n_layers=3,
        local_attention=16,
        global_rope_theta=160000.0,
        local_rope_theta=10000.0,
        classifier_pooling="mean",
        norm_eps=1e-5,
        initializer_range=0.05,
        bos_token_id=ids["cls"],
        cls_token_id=ids["cls"],
        eos_token_id=ids["sep"],
        sep_token_id=ids["sep"],
        pad_token_id=ids["pad"],
        reference_compile=False,
    )


def train_base(rows: list[list[int]], tokenizer: Tokenizer, *, steps: int, seed: int) -> ModernBertForMaskedLM:
    """Pretrain a base on `rows` (token ids), with 20 % of the tokens replaced by [MASK]."""
    torch.manual_seed(seed)
    config = base_config(tokenizer)
    model = ModernBertForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.01)
    batches = length_sorted_batches(rows, steps=steps, tokens_per_batch=TOKENS_PER_BATCH, rng=random.Random(seed))
    for step, batch in enumerate(batches):
        inputs = pad([rows[row] for row in batch], pad_token_of(config))
        ids = inputs["input_ids"]
        special = (ids == config.cls_token_id) | (ids == config.sep_token_id) | (ids == config.pad_token_id)
        masked = (torch.rand(ids.shape) < 0.2) & ~special
        inputs["input_ids"] = ids.masked_fill(masked, tokenizer.token_to_id("[MASK]"))
        logits = model(**inputs).logits
        targets = ids.masked_fill(~masked, IGNORED)
        loss = torch.nn.functional.cross_entropy(logits.view(-1, config.vocab_size), targets.view(-1))
        take_step(optimizer, loss, step=step, steps=steps, peak=PEAK_LEARNING_RATE)
        if step % 200 == 199:
            print(f"  base: step {step + 1}/{steps}, masked-token loss {loss.item():.3f}", flush=True)
    return model.eval()


def train_adapter(base: Path, rows: list[list[int]], scores: list[float], *, steps: int, seed: int) -> PeftModel:
    """Train a PiSSA adapter over the base in folder `base` to predict `scores`."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, problem_type="regression")
    lora = LoraConfig(
        task_type="SEQ_CLS",
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,
        init_lora_weights="pissa",
        target_modules=["attn.Wo", "attn.Wqkv", "mlp.Wi", "mlp.Wo"],
    )  # modules_to_save is ["classifier", "score"]: peft adds both for SEQ_CLS, a second time if they were named here
    model = get_peft_model(model, lora)
    model.train()
    pad_token_id = model.config.pad_token_id
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=0.0, weight_decay=0.01)
    batches = length_sorted_batches(rows, steps=steps, tokens_per_batch=TOKENS_PER_BATCH, rng=random.Random(seed))
    for step, batch in enumerate(batches):
        logits = model(**pad([rows[row] for row in batch], pad_token_id)).logits.squeeze(-1)
        loss = torch.nn.functional.mse_loss(logits, torch.tensor([scores[row] for row in batch]))
        take_step(optimizer, loss, step=step, steps=steps, peak=PEAK_LEARNING_RATE)
        if step % 200 == 199:
            print(f"  adapter: step {step + 1}/{steps}, squared error {loss.item():.4f}", flush=True)
    return model.eval()


def save_adapter(model: PeftModel, base: Path, folder: Path) -> None:
    """Save the adapter with a path to `base` relative to `folder`, so that the two can be moved together."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's model card template, which is empty
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = f"../{base.name}"
    config["target_modules"].sort()  # a set in peft, so in any order
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def build(base: Path, adapter: Path, *, base_steps: int = 300, adapter_steps: int = 700, seed: int = 11) -> None:
    """Train and save both folders, and check that the saved model reproduces the scores of the trained one."""
    instructions = generate_instructions(8000, seed=seed, held_out=False)
    texts = [instruction.text for instruction in instructions]
    pairs = [text for pair in generate_pairs(2000, seed=seed, held_out=False) for text in pair[:2]]
    tokenizer = train_byte_level_bpe(texts + pairs + [common_words()] * 3, 2000)
    save_tokenizer(tokenizer, base, MAX_LENGTH)
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    train_base(rows, tokenizer, steps=base_steps, seed=seed).save_pretrained(base)
    scores = [instruction.score for instruction in instructions]
    model = train_adapter(base, rows, scores, steps=adapter_steps, seed=seed)
    save_adapter(model, base, adapter)

    probe = texts[:64]
    trained = score_instructions(model, tokenizer, probe)
    for merge in (False, True):
        reloaded = score_instructions(load_scorer(base, adapter, merge=merge), tokenizer, probe)
        delta = abs(reloaded - trained).max()
        print(f"  saved adapter, merged={merge}: max |score - score of the trained model| {delta:.1e}")
        if not delta < 1e-4:
            raise SystemExit("the saved adapter does not reproduce the scores of the trained model within 1e-4")
