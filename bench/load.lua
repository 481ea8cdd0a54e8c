-- Asks for one path after the other with one key, and tells what came back as one line of JSON.
local paths, headers, turn = {}, {}, 0

function init(arguments)
   for line in io.lines(arguments[1]) do
      paths[#paths + 1] = line
   end
   headers[os.getenv("BENCH_HEADER")] = os.getenv("BENCH_KEY")
end

function request()
   turn = turn % #paths + 1
   return wrk.format("GET", paths[turn], headers)
end

function done(summary, latency)
   local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
   io.write(string.format(
      '{"answers": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "lost": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      summary.errors.status, lost))
end
