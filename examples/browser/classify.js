// Loads model.onnx as `bginv export` writes it, and classifies pictures, all from local files.
import * as ort from "./ort/ort.wasm.min.mjs";

const SHOWN = 5;
const told = document.getElementById("told");
const chosen = document.getElementById("picture");
const canvas = document.getElementById("seen");

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more of them need headers that a plain file server does not send

/** What the model's metadata hold: field 14 of an ONNX file, pairs of a key (1) and a value (2). */
function readMetadata(bytes) {
  const text = new TextDecoder();
  function* fields(start, end) {
    let place = start;
    const number = () => {
      let found = 0n;
      for (let shift = 0n; ; shift += 7n) {
        const byte = bytes[place++];
        found |= BigInt(byte & 127) << shift;
        if (byte < 128) return Number(found);
      }
    };
    while (place < end) {
      const tag = number();
      const kind = tag & 7;
      if (kind === 2) {
        const length = number();
        yield [tag >> 3, place, place + length];
        place += length;
      } else if (kind === 0) number();
      else place += kind === 1 ? 8 : 4;
    }
  }
  const found = {};
  for (const [field, start, end] of fields(0, bytes.length)) {
    if (field !== 14) continue;
    const pair = {};
    for (const [own, from, to] of fields(start, end)) pair[own] = text.decode(bytes.subarray(from, to));
    found[pair[1]] = pair[2];
  }
  return found;
}

/** A picture as the model takes it: float32 [1, H, W, C] in [0, 1], stretched to its size. */
async function imageTensor(picture, [height, width, channels]) {
  [canvas.height, canvas.width] = [height, width];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const bitmap = await createImageBitmap(picture);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height).data;
  const values = new Float32Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const [red, green, blue] = pixels.subarray(4 * i, 4 * i + 3);
    if (channels === 1) values[i] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    else values.set([red / 255, green / 255, blue / 255], 3 * i);
  }
  return new ort.Tensor("float32", values, [1, height, width, channels]);
}

function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, own) => total + own, 0);
  return powers.map((own) => own / sum);
}

function show(scores, names) {
  const isProbability = scores.every((own) => own >= 0) && Math.abs(scores.reduce((a, b) => a + b) - 1) < 1e-3;
  const shares = isProbability ? scores : softmax(scores);
  const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, SHOWN);
  const rows = order.map((label) => {
    const row = document.createElement("tr");
    row.insertCell().textContent = names[label] ?? `class ${label}`;
    row.insertCell().textContent = `${(100 * shares[label]).toFixed(1)} %`;
    return row;
  });
  document.getElementById("classes").replaceChildren(...rows);
}

async function start() {
  const answer = await fetch("model.onnx");
  if (!answer.ok) throw new Error("model.onnx is not beside this page: see README.md");
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const names = JSON.parse(readMetadata(bytes).class_names ?? "[]");
  const session = await ort.InferenceSession.create(bytes);
  const [input] = session.inputMetadata;
  const shape = input.shape.slice(1);
  if (!shape.every(Number.isInteger)) throw new Error("the model does not tell the size of its images");
  const output = session.outputNames.includes("logits") ? "logits" : session.outputNames[0];
  chosen.addEventListener("change", async () => {
    const [file] = chosen.files;
    if (!file) return;
    told.textContent = "…";
    delete told.dataset.scores;
    try {
      const found = await session.run({ [input.name]: await imageTensor(file, shape) });
      const scores = Array.from(found[output].data);
      show(scores, names);
      told.textContent = `${file.name}: ${names.length || scores.length} classes`;
      told.dataset.scores = JSON.stringify(scores);
    } catch (error) {
      told.textContent = `${file.name}: ${error.message ?? error}`;
    }
  });
  chosen.disabled = false;
  told.textContent = "Choose a picture.";
}

start().catch((error) => {
  told.textContent = error.message ?? String(error);
});
