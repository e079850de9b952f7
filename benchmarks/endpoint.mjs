// The benchmark's webhook endpoint: a new call is answered and hung up, everything else is only noted.
// It keeps the ledger: GET / tells what was delivered since the last time it was asked.
import http from 'node:http';

const PROGRAM = '[{"action":"answer"},{"action":"hangup"}]';
let seen = new Map(); // webhook-id -> type
let repeated = 0;
let requests = 0;
let counts = {};

const report = () => {
  const told = JSON.stringify({ requests, repeated, counts });
  seen = new Map();
  requests = repeated = 0;
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
      }
      answer = body.type === 'StasisStart' ? PROGRAM : '[]';
    }
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) });
    response.end(answer);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
