// The page of `tacit serve`: asks for a completion as a stream, and for the routers' scores while
// one types.
'use strict';
const $ = (id) => document.getElementById(id);
const SHOWN = 16; // experts of a large mixture: the best ones
let model = null, asking = null, timer = null, asked = 0;

function headers() {
    const h = {'Content-Type': 'application/json'};
    if ($('key').value) h.Authorization = 'Bearer ' + $('key').value;
    return h;
}

async function fetchJson(path, body) {
    const options = body ? {method: 'POST', headers: headers(), body: JSON.stringify(body)}
                         : {headers: headers()};
    const reply = await fetch(path, options);
    if (reply.status === 401) $('key-label').hidden = false;
    const json = await reply.json();
    if (!reply.ok) throw new Error(json.error.message);
    return json;
}

async function begin() {
    try {
        model = (await fetchJson('/v1/models')).data[0];
        $('model').textContent = model.id;
        document.title = 'tacit: ' + model.id;
        $('about').textContent = `${model.experts} experts, routed on the first ${model.prefix} ` +
            `tokens; the models read ${model.max_model_len} at most.`;
        $('state').textContent = '';
    } catch (e) {
        $('state').textContent = e.message;
    }
}

function cell(row, text, kind) {
    const td = row.insertCell();
    td.textContent = text;
    if (kind) td.className = kind;
    return td;
}

function showScores(r) {
    const body = $('scores').tBodies[0];
    const best = Math.max(...r.scores);
    const weights = r.scores.map((s) => Math.exp(s - best));
    const sum = weights.reduce((a, b) => a + b, 0);
    const order = r.scores.map((_, i) => i).sort((a, b) => r.scores[b] - r.scores[a]);
    body.replaceChildren();
    for (const e of order.slice(0, SHOWN).sort((a, b) => a - b)) {
        const row = body.insertRow(), share = weights[e] / sum;
        if (e === r.expert) row.className = 'best';
        cell(row, e === r.expert ? `${e} answers` : String(e));
        cell(row, r.scores[e].toFixed(2), 'number');
        cell(row, (100 * share).toFixed(1) + ' %', 'number');
        const meter = document.createElement('meter');
        meter.value = share;
        meter.setAttribute('aria-hidden', 'true');
        cell(row, '', 'bar').append(meter);
    }
    $('scores').hidden = false;
    $('routing').textContent = r.routed_on
        ? `Expert ${r.expert} would answer, by the first ${r.routed_on} of ${r.tokens} tokens.`
        : 'One token is too short to route on: expert 0 would answer.';
}

async function route() {
    const prompt = $('prompt').value, turn = ++asked;
    if (!prompt || !model) return;
    try {
        const r = await fetchJson('/v1/route', {prompt});
        if (turn === asked && r.tokens > 0) showScores(r);
    } catch (e) {
        $('routing').textContent = e.message;
    }
}

async function readEvents(reply, onText) {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
        const {value, done} = await reader.read();
        if (done) return;
        const lines = (rest + value).split('\n');
        rest = lines.pop();
        for (const line of lines) {
            if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
            const event = JSON.parse(line.slice(6));
            if (event.error) throw new Error(event.error.message);
            if (event.choices.length) onText(event.choices[0].text, event.choices[0].finish_reason);
        }
    }
}

async function answer(event) {
    event.preventDefault();
    if (!model) await begin();
    if (!model || asking || !$('prompt').value) return;
    asking = new AbortController();
    const body = {model: model.id, prompt: $('prompt').value, stream: true,
        max_tokens: Number($('tokens').value), temperature: Number($('temperature').value)};
    if ($('seed').value) body.seed = Number($('seed').value);
    const prompt = document.createElement('span');
    prompt.className = 'prompt';
    prompt.textContent = body.prompt;
    $('answer').replaceChildren(prompt);
    $('go').disabled = true;
    $('stop').disabled = false;
    $('state').textContent = 'Answering…';
    try {
        const reply = await fetch('/v1/completions', {method: 'POST', headers: headers(),
            body: JSON.stringify(body), signal: asking.signal});
        if (!reply.ok) throw new Error((await reply.json()).error.message);
        const expert = reply.headers.get('X-Tacit-Expert');
        $('state').textContent = `Expert ${expert} answers…`;
        await readEvents(reply, (text, finish) => {
            $('answer').append(text);
            if (finish) $('state').textContent = `Expert ${expert} answered (${finish}).`;
        });
    } catch (e) {
        $('state').textContent = e.name === 'AbortError' ? 'Stopped.' : e.message;
    }
    asking = null;
    $('go').disabled = false;
    $('stop').disabled = true;
}

$('form').addEventListener('submit', answer);
$('stop').addEventListener('click', () => asking && asking.abort());
$('key').addEventListener('change', begin);
$('prompt').addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(route, 150);
});
$('prompt').addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) $('form').requestSubmit();
});
begin();
