"""Small tokenizers of every kind, trained here and saved as the slow tokenizers of transformers save them."""

import io
from pathlib import Path
from typing import Any

import sentencepiece
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from assay_export.texts import real_text

__all__ = ["save_bert", "save_deberta", "save_roberta", "save_xlm_roberta", "train_sentencepiece"]

_TEXTS = [text for text in real_text.TEXTS if text] * 3


def train_sentencepiece(**options: Any) -> bytes:
    """Train a unigram model with the normalization of DeBERTa-v3."""
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_TEXTS),
        model_writer=stream,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **{"vocab_size": 250} | options,
    )
    return stream.getvalue()


def save_deberta(folder: Path, added: tuple[str, ...] = (), has_bytes: bool = True, **options: Any) -> Path:
    """Save a DeBERTa-v3 tokenizer, with the pieces of bytes that the published one has."""
    folder.mkdir(exist_ok=True)
    ids = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    pieces = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    size = 506 if has_bytes else 250
    model = train_sentencepiece(vocab_size=size, byte_fallback=has_bytes, **ids, **pieces)
    (folder / "spm.model").write_bytes(model)
    slow = transformers.DebertaV2Tokenizer(str(folder / "spm.model"), **options)
    slow.add_tokens(list(added))
    slow.save_pretrained(folder)
    return folder


def save_xlm_roberta(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "sentencepiece.bpe.model").write_bytes(train_sentencepiece())
    transformers.XLMRobertaTokenizer(str(folder / "sentencepiece.bpe.model")).save_pretrained(folder)
    return folder


def save_bert(folder: Path, lower: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=lower)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    trained.train_from_iterator(_TEXTS, trainer)
    vocabulary = trained.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=lambda word: vocabulary[word])))
    transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=lower).save_pretrained(folder)
    return folder


def save_roberta(folder: Path, **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    trained.train_from_iterator(_TEXTS, trainer)
    trained.model.save(str(folder))
    slow = transformers.RobertaTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), **options)
    slow.save_pretrained(folder)
    return folder
