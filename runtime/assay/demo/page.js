// Everything that comes from the model or the user is put in with textContent: it is never read as HTML.
"use strict";

const at = (id) => document.getElementById(id);
const make = (tag, text = "", className = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
};
let model = null;

async function ask(path, options) {
  const response = await fetch(path, options);
  const value = await response.json();
  if (!response.ok) throw new Error(value.error);
  return value;
}

function showModel() {
  at("name").textContent = document.title = model.name;
  at("about").textContent = `${model.task}, ${model.variant} on ${model.device}, ${model.threads} threads, ` +
    `reads up to ${model.max_length} tokens`;
  at("pair").hidden = model.input !== "pair";
  at("text-label").textContent = model.input === "pair" ? "First text" : "Text";
  at("long").hidden = !model.refuses_long;
}

function showAnswer(answer) {
  const isScore = "score" in answer;
  at("result").textContent = isScore ? answer.score.toPrecision(6) : answer.label;
  at("scores").replaceChildren(...Object.entries(isScore ? {} : answer.scores).map(([label, score]) => {
    const row = make("tr");
    const meter = make("meter");
    meter.value = score;
    const bar = make("td");
    bar.append(meter);
    row.append(make("td", label), bar, make("td", score.toFixed(4)));
    return row;
  }));
  at("count").textContent = `${answer.tokens.length} tokens`;
  at("tokens").replaceChildren(...answer.tokens.map(({ id, token, second }) => {
    const element = make("span", token, second ? "token second" : "token");
    element.title = `id ${id}`;
    return element;
  }));
  const { tokens, model: run } = answer.milliseconds;
  at("time").textContent = `${tokens.toFixed(2)} ms for the tokens, ${run.toFixed(2)} ms for the model`;
}

async function submit() {
  const row = { text: at("text").value, truncate: at("truncate").checked };
  if (model.input === "pair") row.text_pair = at("text-pair").value;
  try {
    showAnswer(await ask("answer", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(row),
    }));
    at("problem").textContent = "";
    at("answer").hidden = false;
  } catch (error) {
    at("problem").textContent = error.message;
    at("answer").hidden = true;
  }
}

at("row").addEventListener("submit", (event) => {
  event.preventDefault();
  if (model) submit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("row").requestSubmit();
});
ask("model").then((value) => {
  model = value;
  showModel();
}).catch((error) => { at("problem").textContent = error.message; });
