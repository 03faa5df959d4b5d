// Ids and text by tokenizer.json, as transformers.js reads it, against our own.
// usage: node export_tokenizers.mjs FIXTURE NODE_MODULES
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

const [folder, modules] = process.argv.slice(2);
const exists = (name) => fs.existsSync(path.join(modules, name));
const load = (file) => import(pathToFileURL(path.resolve(modules, file)));
const read = (name) => JSON.parse(fs.readFileSync(path.join(folder, name)));
const reference = read("reference.json");
let failed = 0;

function check(name, encode, decode) {
    let same = 0;
    for (const {text, ids} of reference.texts) {
        // There, special pieces in a text are what they mean; here, what they are written with.
        if (/<(unk|s|\/s)>/.test(text)) continue;
        const got = encode(text), back = decode(ids);
        if (JSON.stringify(got) !== JSON.stringify(ids) || back !== text) {
            console.log(`FAILED: ${name}: ${JSON.stringify(text)}: ${got} for ${ids}, ` +
                `text ${JSON.stringify(back)}`);
            failed = 1;
        } else same++;
    }
    console.log(`${name}: the same ids and text for ${same} texts`);
}

if (exists("@huggingface/tokenizers")) {
    const {Tokenizer} = await load("@huggingface/tokenizers/dist/tokenizers.mjs");
    const t = new Tokenizer(read("hf-f32/tokenizer.json"), read("hf-f32/tokenizer_config.json"));
    check("@huggingface/tokenizers", (x) => Array.from(t.encode(x).ids), (x) => t.decode(x));
}
if (exists("@huggingface/transformers")) {
    const {AutoTokenizer, AutoConfig, env} =
        await load("@huggingface/transformers/dist/transformers.node.mjs");
    env.allowRemoteModels = false;
    env.localModelPath = path.resolve(folder);
    const t = await AutoTokenizer.from_pretrained("hf-f32");
    check("transformers.js", (x) => Array.from(t.encode(x)), (x) => t.decode(x));
    const config = await AutoConfig.from_pretrained("hf-f32");
    if (config.model_type !== "starcoder2") throw new Error(`a ${config.model_type}`);
}
process.exit(failed);
