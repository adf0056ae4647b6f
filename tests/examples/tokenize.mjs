// Tokenizes texts with transformers.js. Standard input: {"tokenizer": PATH, "texts": [...]}. Argument: the library's module.
import { readFileSync } from "node:fs";

const { PreTrainedTokenizer } = await import(process.argv[2]);
const { tokenizer, texts } = JSON.parse(readFileSync(0, "utf8"));
const encoder = new PreTrainedTokenizer(JSON.parse(readFileSync(tokenizer, "utf8")), { model_max_length: 1e9 });
console.log(JSON.stringify(texts.map((text) => encoder(text, { return_tensor: false }).input_ids)));
