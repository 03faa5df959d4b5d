// What llama.cpp makes of our GGUF files, against our own engine: ids, logits, perplexity.
// usage: node export_llama.mjs FIXTURE NODE_MODULES
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

const [folder, modules] = process.argv.slice(2);
const entry = path.resolve(modules, "node-llama-cpp/dist/index.js");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
const reference = JSON.parse(fs.readFileSync(path.join(folder, "reference.json")));
const {vocab, seq} = reference;
const raw = fs.readFileSync(path.join(folder, "logits.bin"));
const logits = new Float32Array(raw.buffer, raw.byteOffset, raw.length / 4);
const llama = await getLlama({
    gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 1
});
let failed = 0;
const fail = (words) => {
    console.log("FAILED: " + words);
    failed = 1;
};

// Rounded weights are judged by perplexity alone.
for (const [type, within, logitMost] of [["f32", 0.001, 5e-3], ["bf16", 0.01, 0], ["q8_0", 0.01, 0]]) {
    const model = await llama.loadModel({modelPath: path.resolve(folder, `m-${type}.gguf`), gpuLayers: 0});
    const context = await model.createContext({
        contextSize: 2 * seq, sequences: 1, flashAttention: false,
        experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"
    });
    const sequence = context.getSequence();
    let at = 0, loss = 0, predictions = 0, most = 0, others = 0;
    for (const {text, ids} of reference.texts) {
        const got = Array.from(model.tokenize(text, false));
        if (JSON.stringify(got) !== JSON.stringify(ids))
            fail(`${type}: other ids of ${JSON.stringify(text)}: ${got} for ${ids}`);
        const back = model.detokenize(ids, false);
        if (type === "f32" && back !== text)
            fail(`other text of the ids of ${JSON.stringify(text)}: ${JSON.stringify(back)}`);
        const read = ids.slice(0, seq);
        await sequence.clearHistory();
        const out = await sequence.controlledEvaluate(
            read.map((id) => [id, {generateNext: {logits: true}}]));
        for (let s = 0; s < read.length; s++, at += vocab) {
            const row = out[s].next.logits;
            let best = 0, ours = 0, sum = 0;
            for (let v = 0; v < vocab; v++) {
                const theirs = row.get(v);
                most = Math.max(most, Math.abs(theirs - logits[at + v]));
                if (theirs > row.get(best)) best = v;
                if (logits[at + v] > logits[at + ours]) ours = v;
                sum += Math.exp(theirs);
            }
            others += best !== ours;
            if (s + 1 < read.length) {
                loss += Math.log(sum) - row.get(read[s + 1]);
                predictions++;
            }
        }
    }
    const perplexity = Math.exp(loss / predictions);
    const off = Math.abs(perplexity / reference.perplexity - 1);
    console.log(`llama.cpp ${type}: perplexity ${perplexity.toFixed(4)}, ours ` +
        `${reference.perplexity.toFixed(4)} (${(100 * off).toFixed(4)} %), logits within ` +
        `${most.toExponential(1)}, ${others} of ${at / vocab} likeliest tokens differ`);
    if (!(off <= within)) fail(`${type}: perplexity differs by more than ${100 * within} %`);
    if (logitMost && !(most <= logitMost)) fail(`${type}: logits differ by ${most}`);
    if (logitMost && others) fail(`${type}: ${others} likeliest tokens differ`);
    await context.dispose();
    await model.dispose();
}
await llama.dispose();
process.exit(failed);
