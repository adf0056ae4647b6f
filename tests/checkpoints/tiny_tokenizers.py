"""The two small tokenizers, with the structure of the published ones.

Each is trained on the generated text and saved as tokenizer.json and tokenizer_config.json.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

# Every printable ASCII character has a piece, so that unseen English words are spelled out.
PRINTABLE_ASCII = [chr(code) for code in range(33, 127)]


def common_words() -> str:
    """Read everyday words that the generated text lacks, so that the tokenizers have pieces for plain English."""
    return (Path(__file__).parent / "common_words.txt").read_text(encoding="utf-8")


def train_unigram(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer like DeBERTa-v3's: Unigram over Metaspace words, [CLS] A [SEP] B [SEP], [MASK] as last id.

    The published one normalizes with SentencePiece's compiled nmt_nfkc table; NFKC is its standard relative. There is
    no byte fallback: a character without a piece becomes [UNK].
    """
    texts = list(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    # Punctuation is split off while pieces are learned, so that no piece is a word with its full stop.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([metaspace, pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    # Pieces come from merges, scores from how often each is used. The unigram trainers of tokenizers and SentencePiece
    # propose only strings that several distinct words share, so on text of few distinct words they miss whole words.
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    size = vocab_size - len(special) - 1
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=PRINTABLE_ASCII, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    used = Counter(piece for encoding in tokenizer.encode_batch(texts) for piece in encoding.tokens)
    scores = {piece: math.log((used[piece] + 0.5) / used.total()) for piece in tokenizer.get_vocab()}
    learned = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([metaspace])
    tokenizer.model = models.Unigram([(name, 0.0) for name in special] + learned, unk_id=3)
    tokenizer.add_special_tokens(special)
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return tokenizer


def train_byte_level_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer like ModernBERT's: byte-level BPE, NFC, [CLS] A [SEP]; special tokens follow the merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:0 [SEP]:0",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, model_max_length: int) -> None:
    """Write tokenizer.json, and a tokenizer_config.json that transformers 4 and 5 can read."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model_max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
