-- wrk script: the same GET again and again, each with the next token of the file named by the first argument.
-- Prints one JSON line when it is done.
local requests = {}
local sent = 0

function init(args)
  local headers = { ["User-Agent"] = "git/2.39.5", ["Accept"] = "*/*" }
  if args[1] then
    for token in io.lines(args[1]) do
      headers["Authorization"] = "Bearer " .. token
      requests[#requests + 1] = wrk.format("GET", nil, headers)
    end
  else
    requests[1] = wrk.format("GET", nil, headers)
  end
end

function request()
  sent = sent + 1
  return requests[sent % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.4f,"p50":%.3f,"p99":%.3f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
