// Answers rows from a bundle in Node. Rows are JSON lines with "text", and for a bundle of pairs "text_pair":
//
//     make web
//     node examples/node/answer.mjs bundles/pair-classifier fp32 < examples/pairs.jsonl

import { readFileSync } from "node:fs";
import path from "node:path";
import { env } from "@huggingface/transformers";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { openBundle } from "../browser/bundle.js";

const [folder, variant = "fp32"] = process.argv.slice(2);

// MatMulInteger of uint8 [1, 64] and 127s [64, 16]. The runtime has the same bytes (runtime/assay/ort/saturation.py).
const PROBE =
  "CAgSBWFzc2F5OpUBCjIKBXNoYXBlEgFiIg9Db25zdGFudE9mU2hhcGUqFQoFdmFsdWUqCQgBEAMqAX9CAKABBAoYCgFhCgFiEgF5Ig1NYXRNdWxJbnRl" +
  "Z2VyEgpzYXR1cmF0aW9uKg8IAhAHOgJAEEIFc2hhcGVaEwoBYRIOCgwIAhIICgIIAQoCCEBiEwoBeRIOCgwIBhIICgIIAQoCCBBCBAoAEBE=";

/** Throws if int8 products are wrong on this CPU: on x86 without VNNI, ONNX Runtime's saturate. */
async function refuseSaturation() {
  const session = await InferenceSession.create(Buffer.from(PROBE, "base64"));
  const { y } = await session.run({ a: new Tensor("uint8", new Uint8Array(64).fill(255), [1, 64]) });
  if (y.data.some((sum) => sum !== 64 * 255 * 127)) {
    throw new Error("ONNX Runtime's int8 products saturate on this CPU, which has no VNNI; use the variant fp32");
  }
}

async function main() {
  if (!folder) throw new Error("usage: node answer.mjs BUNDLE [VARIANT] < ROWS.jsonl");
  if (variant === "int8_ort") await refuseSaturation();
  const manifest = JSON.parse(readFileSync(path.join(folder, "assay.json"), "utf8"));
  env.localModelPath = path.dirname(path.resolve(folder));
  const bundle = await openBundle(path.basename(path.resolve(folder)), manifest, variant);
  for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    const { text, text_pair } = JSON.parse(line);
    const { logits, scores } = await bundle.answer(text, text_pair);
    const best = scores.indexOf(Math.max(...scores));
    console.log(JSON.stringify({ label: manifest.labels[best], score: scores[best], logits }));
  }
  await bundle.close();
}

main().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
});
