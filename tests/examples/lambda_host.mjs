// Not AWS's own runtime for Node, whose package is compiled when it is installed: the loop of the Runtime API around a handler.
//
//   AWS_LAMBDA_RUNTIME_API=HOST:PORT node lambda_host.mjs FOLDER ivr.handler

import { join } from 'node:path';

const [folder, handler] = process.argv.slice(2);
const [file, name] = handler.split('.');
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const tell = (id, what, value) => fetch(`${api}/${id}/${what}`, { method: 'POST', body: JSON.stringify(value ?? null) });

const module = await import(join(folder, `${file}.mjs`));
for (;;) {
  const next = await fetch(`${api}/next`);
  const id = next.headers.get('lambda-runtime-aws-request-id');
  try {
    await tell(id, 'response', await module[name](await next.json(), {}));
  } catch (error) {
    await tell(id, 'error', { errorMessage: error.message, errorType: error.name });
  }
}
