-- wrk's requests: `wrk ... -s load.lua URL -- METHOD KEYS VALUE_BYTES`.
-- The keys are those of keys.py. At the end one line says what wrk has measured, unrounded.

local READY_MADE_MAX = 10000

local requests, keys, method, query, body, headers = {}, 0, "GET", "", nil, {}
local at = 0

local function path(number)
  return string.format("/v2/keys/bench/d%03d/k%03d%s", math.floor(number / 1000), number % 1000, query)
end

function init(args)
  method, keys = args[1], tonumber(args[2])
  if method == "QGET" then
    method, query = "GET", "?quorum=true"
  end
  if method == "PUT" then
    body = "value=" .. string.rep("x", tonumber(args[3]))
    headers["Content-Type"] = "application/x-www-form-urlencoded"
  end
  if keys <= READY_MADE_MAX then
    for number = 0, keys - 1 do
      requests[number] = wrk.format(method, path(number), headers, body)
    end
  end
end

function request()
  if keys <= READY_MADE_MAX then
    at = (at + 1) % keys
    return requests[at]
  end
  return wrk.format(method, path(math.random(0, keys - 1)), headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'measured {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"bad_statuses":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency.max, errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
