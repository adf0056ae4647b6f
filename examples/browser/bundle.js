// Opens a bundle with transformers.js, in a browser or in Node, and answers one row at a time.
// env.localModelPath is the folder of the bundles; a manifest is a bundle's parsed assay.json.

import { env, pipeline } from "@huggingface/transformers";

env.allowLocalModels = true;
env.allowRemoteModels = false;
env.useBrowserCache = false; // a bundle that was exported again has the same names

/** Returns the graphs of `manifest` that ONNX Runtime's web and Node builds can run, by variant. */
export function listGraphs(manifest) {
  const graphs = {};
  for (const [variant, dialects] of Object.entries(manifest.variants)) {
    const graph = dialects.portable ?? dialects.cpu; // the third dialect, kernels, needs Assay's own operators
    if (graph) graphs[variant] = graph;
  }
  return graphs;
}

/** Opens `variant` of the bundle in the folder `name`. */
export async function openBundle(name, manifest, variant) {
  const graph = listGraphs(manifest)[variant];
  if (!graph) throw new Error(`${name}: no graph of ${variant} for this build; it has ${Object.keys(listGraphs(manifest))}`);
  const [, subfolder, file] = graph.file.match(/^(.*)\/(.*)\.onnx$/);
  // The int8 graphs were checked without the fusions of ONNX Runtime's default level.
  const session_options = { graphOptimizationLevel: graph.graph_optimization };
  // dtype only chooses a suffix of the name, and "fp32" is none. Weights outside the graph are in file.onnx_data.
  const opened = await pipeline("text-classification", name, {
    subfolder, model_file_name: file, dtype: "fp32", use_external_data_format: graph.data.length, session_options,
  });
  return {
    /** Answers one row: a text, or for a bundle of pairs two. Returns its tokens, logits and scores. */
    async answer(text, textPair = null) {
      if ((textPair !== null) !== (manifest.input === "pair")) throw new Error(`${name} reads a ${manifest.input}`);
      // The pipeline itself takes no pairs, shows a regression as a softmax, and truncates the last [SEP] away.
      const return_token_type_ids = graph.inputs.includes("token_type_ids");
      const inputs = opened.tokenizer(text, { text_pair: textPair, return_token_type_ids });
      const ids = Array.from(inputs.input_ids.data, Number);
      if (ids.length > manifest.max_length) {
        throw new Error(`${ids.length} tokens, but ${name} reads at most ${manifest.max_length}; shorten the text`);
      }
      const output = await opened.model(Object.fromEntries(graph.inputs.map((input) => [input, inputs[input]])));
      const logits = Array.from(output.logits.data);
      if (!logits.every(Number.isFinite)) throw new Error(`${name}: a logit is not finite: ${logits}`);
      const tokens = ids.map((id) => opened.tokenizer.decode([id], { skip_special_tokens: false }));
      return { tokens, logits, scores: activate(logits, manifest.activation) };
    },
    close: () => opened.dispose(),
  };
}

/** Returns the scores of one row's logits. A regression's score is its logit. */
function activate(logits, activation) {
  if (activation === "identity") return logits;
  if (activation === "sigmoid") return logits.map((x) => 1 / (1 + Math.exp(-x)));
  const largest = Math.max(...logits);
  const powers = logits.map((x) => Math.exp(x - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((x) => x / sum);
}
