// What n8n does with the six kinds of nodes of examples/n8n/workflow.json, so that its expressions, its code and its
// connections are run as they stand, without the gigabyte that n8n is. It knows no other nodes and no other parameters.

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [, , file, port, secret] = process.argv;
const workflow = JSON.parse(readFileSync(file, 'utf8'));
const nodes = Object.fromEntries(workflow.nodes.map((node) => [node.name, node]));

const evaluate = (code, $, $json) => new Function('$', '$json', `return (${code})`)($, $json);

// `=…{{ … }}…` is an expression: alone it keeps its type, among text it is put into it. Anything else is as it stands.
function value(parameter, $, $json) {
  if (typeof parameter !== 'string' || !parameter.startsWith('=')) return parameter;
  const alone = /^=\{\{((?:(?!\}\}).)*)\}\}$/s.exec(parameter);
  if (alone) return evaluate(alone[1], $, $json);
  return parameter.slice(1).replace(/\{\{(.*?)\}\}/gs, (_, code) => evaluate(code, $, $json));
}

// Each takes an item and gives the number of its output and the item that goes there; the last one answers.
const kinds = {
  extractFromFile({ operation, binaryPropertyName, destinationKey }, item) {
    if (operation !== 'text') throw new Error(operation);
    return [0, { json: { [destinationKey]: item.binary[binaryPropertyName].toString('utf8') } }];
  },
  crypto({ action, type, encoding, dataPropertyName, ...more }, item, $) {
    if (action !== 'hmac') throw new Error(action);
    const hmac = createHmac(type, more.secret).update(value(more.value, $, item.json)).digest(encoding);
    return [0, { ...item, json: { ...item.json, [dataPropertyName]: hmac } }];
  },
  if({ conditions }, item, $) {
    const [{ leftValue, operator }] = conditions.conditions;
    if (operator.type !== 'boolean' || operator.operation !== 'true') throw new Error(operator.operation);
    return [value(leftValue, $, item.json) === true ? 0 : 1, item];
  },
  code({ jsCode }, item, $) {
    return [0, new Function('$', jsCode)($)[0]];
  },
  respondToWebhook({ respondWith, responseBody, options }, item, $, response) {
    const type = { json: 'application/json', text: 'text/plain' }[respondWith];
    response.writeHead(options.responseCode ?? 200, { 'content-type': type }).end(value(responseBody, $, item.json));
    return [-1, item];
  },
};

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const data = Buffer.concat(chunks);
  const hook = workflow.nodes.find((node) => node.type === 'n8n-nodes-base.webhook');
  const { httpMethod, path, responseMode, options } = hook.parameters;
  if (request.method !== httpMethod || request.url !== `/webhook/${path}`) return response.writeHead(404).end();
  if (responseMode !== 'responseNode' || !options.rawBody) throw new Error('a setting is missing');
  let body;
  try {
    body = JSON.parse(data);
  } catch {
    return response.writeHead(422).end();
  }
  let item = { json: { headers: request.headers, params: {}, query: {}, body }, binary: { data } };
  const done = { [hook.name]: item };
  const $ = (name) => ({ first: () => done[name] });
  for (let name = hook.name, output = 0; output >= 0; ) {
    name = workflow.connections[name].main[output][0].node;
    const node = nodes[name];
    [output, item] = kinds[node.type.replace('n8n-nodes-base.', '')](node.parameters, item, $, response);
    done[name] = item;
  }
});

for (const node of workflow.nodes) if (node.type.endsWith('.crypto')) node.parameters.secret = secret;
server.listen(Number(port), '127.0.0.1');
