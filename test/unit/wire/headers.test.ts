import { expect, test } from "vitest";
import { requestHeaders, responseHeaders } from "#workers/wire/headers.ts";

test("a request loses credentials, what is about the connection, and claims to be somebody else", () => {
  const headers = new Headers({
    accept: "*/*",
    "user-agent": "git/2.39.5",
    "git-protocol": "version=2",
    "content-type": "text/plain",
    "content-encoding": "gzip",
    authorization: "x",
    "proxy-authorization": "x",
    cookie: "x",
    "x-api-key": "x",
    "x-goog-api-key": "x",
    "private-token": "x",
    dpop: "x",
    "steno-session": "x",
    "steno-clearance": "x",
    "x-forwarded-for": "x",
    forwarded: "x",
    "x-remote-user": "x",
    "x-original-url": "x",
    host: "x",
    expect: "100-continue",
    "content-length": "3",
    connection: "close, X-Hop ,TE",
    "x-hop": "x",
    "keep-alive": "x",
    te: "trailers",
    upgrade: "h2c",
  });
  const kept = requestHeaders(headers).map(([name]) => name);
  expect(kept.sort()).toEqual(["accept", "content-encoding", "content-type", "git-protocol", "user-agent"]);
});

test("a response loses what would act on the gateway's own origin", () => {
  const headers = new Headers({
    "content-type": "text/plain",
    "content-encoding": "gzip",
    "content-length": "3",
    "cache-control": "no-cache",
    "www-authenticate": "Basic",
    "proxy-authenticate": "Basic",
    "alt-svc": "h3",
    "strict-transport-security": "max-age=1",
    "steno-refusal": "denied",
    connection: "x-hop",
    "x-hop": "x",
    "transfer-encoding": "chunked",
  });
  headers.append("set-cookie", "a=b");
  headers.append("set-cookie", "c=d");
  const kept = responseHeaders(headers).map(([name]) => name);
  expect(kept).toEqual(["cache-control", "content-encoding", "content-length", "content-type"]);
});
