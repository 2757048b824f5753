// An upload handler that answers when every server has the file. See README.md beside this file.
"use strict";
const { createWriteStream } = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { pipeline } = require("node:stream/promises");

const folder = process.env.UPLOAD_FOLDER || "/srv/uploads";
const node = process.env.SYNCLINE_URL || "http://127.0.0.1:7441";

// The status for the user: 201 everywhere, 202 stored here and on its way, 500 not in the folder.
async function waitForAll(name, timeoutMs = 2000) {
  try {
    const answer = await fetch(`${node}/v1/wait`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: name, nodes: "all", timeout_ms: timeoutMs }),
      signal: AbortSignal.timeout(timeoutMs + 1000),
    });
    const text = await answer.text(); // of a 504: who lacks it
    if (answer.status === 200) return 201;
    console.error(`upload ${name}: syncline says ${answer.status} ${text.trim()}`);
    return answer.status === 404 ? 500 : 202;
  } catch (error) {
    console.error(`upload ${name}: syncline does not answer: ${error.message}`);
    return 202;
  }
}

async function upload(request, response) {
  const name = request.url.slice(1);
  if (request.method !== "POST" || !/^\w[\w.-]{0,120}$/.test(name)) return response.writeHead(400).end();
  try {
    await pipeline(request, createWriteStream(path.join(folder, name))); // the other servers see it once it is closed
    response.writeHead(await waitForAll(name)).end("stored\n");
  } catch (error) {
    console.error(`upload ${name}: ${error.message}`);
    response.writeHead(500).end();
  }
}

http.createServer(upload).listen(Number(process.argv[2]), "127.0.0.1");
