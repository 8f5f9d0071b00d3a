// Takes batches of CloudEvents by HTTP on loopback and reads them with the CloudEvents project's own
// SDK. Each event that it takes for valid goes to OUTPUT, one a line. What it cannot read is
// refused, and of what it can every third answer says that it failed, so that it comes again.
//
// node receive.mjs NODE_MODULES OUTPUT
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";

const [modules, output] = process.argv.slice(2);
const { HTTP } = createRequire(modules + "/")("cloudevents");

let count = 0;

function take(headers, packed) {
  const body = headers["content-encoding"] === "gzip" ? gunzipSync(packed) : packed;
  const message = { headers, body: body.toString("utf8") };
  if (!HTTP.isEvent(message)) throw new Error("this is no CloudEvent");
  const events = HTTP.toEvent(message);
  if (!Array.isArray(events)) throw new Error("this is no batch");
  if (events.length === 0) throw new Error("this batch is empty");
  for (const event of events) event.validate(); // throws
  appendFileSync(output, events.map((event) => JSON.stringify(event) + "\n").join(""));
}

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    try {
      take(request.headers, Buffer.concat(pieces));
      response.statusCode = ++count % 3 === 0 ? 500 : 204;
    } catch (error) {
      console.error("refused: " + error.message + " " + JSON.stringify(error.errors ?? ""));
      response.statusCode = 501;
    }
    response.end();
  });
});

server.listen(0, "127.0.0.1", () => console.error("listening on " + server.address().port));
process.on("SIGTERM", () => process.exit(0));
