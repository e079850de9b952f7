// The benchmark's webhook endpoint: a new call is answered and hung up (one with the argument `hold` stays), everything else
// is only noted. It keeps the ledger: GET / tells what was delivered since the last time it was asked.
import http from 'node:http';

const PROGRAM = '[{"action":"answer"},{"action":"hangup"}]';
const HOLD = '[{"action":"answer"},{"action":"pause","seconds":3600}]';
let seen = new Map(); // webhook-id -> type
let repeated = 0;
let requests = 0;
let counts = {};
let last = new Map(); // call id -> its last sequence
let disordered = 0;

const report = () => {
  const told = JSON.stringify({ requests, repeated, disordered, counts });
  seen = new Map();
  last = new Map();
  requests = repeated = disordered = 0;
  counts = {};
  return told;
};

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    let answer;
    if (request.method === 'GET') {
      answer = report();
    } else {
      const body = JSON.parse(Buffer.concat(parts));
      const id = request.headers['webhook-id'];
      requests += 1;
      if (id !== undefined && seen.has(id)) repeated += 1;
      else {
        if (id !== undefined) seen.set(id, body.type);
        counts[body.type] = (counts[body.type] ?? 0) + 1;
        if (body.call !== undefined) {
          if (body.call.sequence !== (last.get(body.call.id) ?? 0) + 1) disordered += 1;
          last.set(body.call.id, body.call.sequence);
        }
      }
      const hold = body.type === 'StasisStart' && (body.data ?? body).args?.[0] === 'hold';
      answer = hold ? HOLD : body.type === 'StasisStart' ? PROGRAM : '[]';
    }
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) });
    response.end(answer);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
