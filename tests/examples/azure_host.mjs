// Not the host of Azure Functions, which no registry has: its HTTP trigger, as function.json and the documentation have it.
//
//   node azure_host.mjs FOLDER PORT KEY

import { createServer } from 'node:http';
import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [folder, port, key] = process.argv.slice(2);
const require = createRequire(join(folder, 'host.json'));
if (JSON.parse(readFileSync(join(folder, 'host.json'))).version !== '2.0') throw new Error('host.json: version is 2.0');

const functions = new Map();
for (const name of readdirSync(folder)) {
  const path = join(folder, name, 'function.json');
  if (!existsSync(path)) continue;
  const { bindings, scriptFile } = JSON.parse(readFileSync(path));
  const trigger = bindings.find(({ type, direction }) => type === 'httpTrigger' && direction === 'in');
  const out = bindings.find(({ type, direction }) => type === 'http' && direction === 'out');
  functions.set(name, { trigger, out, run: require(join(folder, name, scriptFile)) });
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const rawBody = Buffer.concat(chunks).toString('utf8');
  const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
  const found = functions.get(pathname.replace(/^\/api\//, ''));
  if (!found || !found.trigger.methods.includes(request.method.toLowerCase())) return response.writeHead(404).end();
  const given = request.headers['x-functions-key'] ?? searchParams.get('code');
  if (found.trigger.authLevel !== 'anonymous' && given !== key) return response.writeHead(401).end();
  let body = rawBody;
  try {
    body = JSON.parse(rawBody);
  } catch {}
  const context = { req: { method: request.method, headers: request.headers, query: {}, rawBody, body }, log: console.log };
  await found.run(context, context.req);
  const { status = 200, headers = {}, body: told = '' } = context[found.out.name];
  response.writeHead(status, headers).end(told);
}).listen(Number(port), '127.0.0.1');
