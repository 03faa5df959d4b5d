// The openai package against `tacit serve`: what applications do. usage: serve_client.mjs URL
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import path from 'node:path';
const require = createRequire(path.resolve('build/npm/test/node_modules/x.js'));
const OpenAI = require('openai').default ?? require('openai');

const client = new OpenAI({baseURL: process.argv[2] + '/v1', apiKey: 'none', maxRetries: 0});
const models = await client.models.list();
const model = models.data[0].id;

const whole = await client.completions.create({model, prompt: 'aei', max_tokens: 12, temperature: 0});
assert.equal(whole.choices[0].finish_reason, 'length');
let text = '', finish = null, pieces = 0, usage = null;
for await (const part of await client.completions.create({model, prompt: 'aei', max_tokens: 12,
    temperature: 0, stream: true, stream_options: {include_usage: true}})) {
    if (part.usage) usage = part.usage;
    if (!part.choices.length) continue;
    text += part.choices[0].text;
    finish = part.choices[0].finish_reason ?? finish;
    pieces++;
}
assert.equal(text, whole.choices[0].text);
assert.equal(finish, 'length');
assert.equal(usage.completion_tokens, 12);
assert.ok(pieces >= 1); // a small model may be done before the first piece is on its way

const {data, response} = await client.chat.completions.create({model, max_tokens: 8, n: 2,
    logprobs: true, top_logprobs: 2, messages: [{role: 'system', content: 'kt'},
        {role: 'user', content: [{type: 'text', text: 'px zq'}]}]}).withResponse();
assert.ok(response.headers.get('x-tacit-expert') !== null);
assert.equal(data.choices.length, 2);
assert.equal(data.choices[0].message.role, 'assistant');
assert.equal(data.choices[0].logprobs.content[0].top_logprobs.length, 2);

const stream = await client.chat.completions.create({model, max_tokens: 16, stream: true,
    messages: [{role: 'user', content: 'px zq'}]});
let role = null, said = '';
for await (const part of stream) {
    role ??= part.choices[0].delta.role;
    said += part.choices[0].delta.content ?? '';
}
assert.equal(role, 'assistant');
assert.ok(said.length > 0);

await assert.rejects(client.completions.create({model: 'gpt-4', prompt: 'a'}),
    (e) => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
await assert.rejects(client.completions.create({model, prompt: 'a', temperature: 1e6}),
    (e) => e instanceof OpenAI.BadRequestError && e.param === 'temperature');
console.log('ok');
