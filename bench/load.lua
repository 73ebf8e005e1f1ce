-- One request again and again, or each line of a list in turn; told by the environment.
local body = os.getenv("LOAD_BODY") and io.open(os.getenv("LOAD_BODY"), "rb"):read("*a") or nil
local method, path, suffix = os.getenv("LOAD_METHOD") or "GET", os.getenv("LOAD_PATH"), os.getenv("LOAD_SUFFIX")
local run, count, paths, threads = os.getenv("LOAD_RUN") or "", 0, {}, 0
local headers = {}
for name, value in (os.getenv("LOAD_HEADERS") or ""):gmatch("([^\n:]+): ([^\n]*)") do headers[name] = value end
if os.getenv("LOAD_LIST") then for line in io.lines(os.getenv("LOAD_LIST")) do paths[#paths + 1] = line end end

function setup(thread) thread:set("number", threads); threads = threads + 1 end

function request()
  count = count + 1
  if #paths > 0 then return wrk.format("GET", paths[(count * 7 + number * 31) % #paths + 1]) end
  local target = path
  if suffix then target = path .. run .. "-" .. number .. "-" .. count .. suffix end
  return wrk.format(method, target, headers, body)
end

function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
