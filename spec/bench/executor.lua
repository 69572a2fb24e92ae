-- executor -- checks per second of the checker's own processor time, beside a bare loop of each
-- kind and prometheus-blackbox-exporter; then many periodic checks held by one process.
local servers = require "bench.servers"

local ROUNDS, SECONDS = 5, 1.5
local HELD, HELD_SECONDS = 10000, 30

-- How many it was in a second of processor, from "COUNT SECONDS".
local function rate(text)
  local count, seconds = text:match("^(%S+)%s+(%S+)")
  return tonumber(count) / tonumber(seconds)
end

-- The best of some rounds, in turn with its peer, and the median of their ratios: what runs at the
-- same time meets the same noise.
local function in_turn(bench, ours, bare)
  local most_ours, most_bare, ratios = 0, 0, {}
  for i = 1, ROUNDS do
    local bare_rate, our_rate = rate(bench.run(bare)), rate(bench.run(ours))
    most_bare, most_ours = math.max(most_bare, bare_rate), math.max(most_ours, our_rate)
    ratios[i] = our_rate / bare_rate
  end
  return most_ours, most_bare, bench.median(ratios)
end

local function compare(bench, what, peer, ours, bare, wanted)
  bench.say(what)
  local fast, bare_fast, ratio = in_turn(bench, ours, bare)
  bench.row(("%s: %s"):format(what, peer), ("%.0f /s"):format(bare_fast))
  bench.row("  orrery.check.run", ("%.0f /s"):format(fast))
  bench.row("  part of the bare loop (median of rounds)", ("%.0f %%"):format(100 * ratio), wanted)
end

local function one_shot(kind, port)
  return { "lua5.4", "spec/bench/one_shot.lua", kind, tostring(port), tostring(SECONDS) }
end

local function bare(bench, program, ...)
  return { bench.work .. "/" .. program, ... }
end

-- Probes through the exporter, which is asked over kept connections. Its own processor time counts.
local function exporter_rate(bench, exporter, module, target)
  local url = ("http://127.0.0.1:%d/probe?module=%s&target=%s"):format(exporter.port, module,
    target)
  local before = servers.cpu(exporter)
  local answered = bench.run { bench.work .. "/bare_http", url, tostring(SECONDS) }
  return tonumber(answered:match("^%d+")) / (servers.cpu(exporter) - before)
end

local function bench_exporter(bench, http, tcp)
  bench.say("prometheus-blackbox-exporter")
  local exporter <close> = servers.exporter(bench)
  local by_http = exporter_rate(bench, exporter, "http_2xx",
    ("http://127.0.0.1:%d/"):format(http))
  local by_tcp = exporter_rate(bench, exporter, "tcp_connect", "127.0.0.1:" .. tcp)
  bench.row("prometheus-blackbox-exporter: http", ("%.0f /s"):format(by_http))
  bench.row("  tcp", ("%.0f /s"):format(by_tcp))
  bench.row(("  %d of each kind every 10 s would take"):format(HELD // 2),
    ("%.0f %%"):format(HELD // 2 / 10 * (1 / by_http + 1 / by_tcp) * 100))
  bench.row("  memory", ("%.0f MiB"):format(servers.resident(exporter)))
end

local function held(bench, http, tcp, env)
  local out = bench.run({ "lua5.4", "spec/bench/periodic.lua", tostring(http), tostring(tcp),
    tostring(HELD), tostring(HELD_SECONDS) }, 120, env)
  local share, kib, late, made = out:match("^(%S+) (%S+) (%S+) (%S+)")
  return tonumber(share), tonumber(kib), tonumber(late), made
end

local function bench_periodic(bench, http, tcp)
  bench.say(("%d periodic checks, %d s"):format(HELD, HELD_SECONDS))
  local share, kib, late = held(bench, http, tcp)
  bench.row(("%d checks every 10 s, half http, half tcp"):format(HELD),
    ("%.1f %%"):format(share * 100))
  bench.row("  memory", ("%.0f MiB"):format(kib / 1024), "< 60 MiB")
  bench.row("  the latest one", ("%.0f ms"):format(late))
  local _, _, _, made = held(bench, http, tcp, { LD_PRELOAD = bench.work .. "/allocs.so" })
  bench.row("  allocations of ours for a try", made, "0")
end

return function(bench)
  local nginx <close> = servers.nginx(bench)
  local listener <close> = servers.listener(bench)
  local url, seconds = ("http://127.0.0.1:%d/"):format(nginx.port), tostring(SECONDS)
  compare(bench, "http checks, connections kept", "bare libcurl multi",
    one_shot("kept", nginx.port), bare(bench, "bare_http", url, seconds), "> 68 %")
  compare(bench, "http checks, connections fresh", "bare libcurl multi",
    one_shot("fresh", nginx.port), bare(bench, "bare_http", url, seconds, "fresh"), "> 77 %")
  compare(bench, "tcp checks, ended by RST", "bare epoll loop", one_shot("tcp", listener.port),
    bare(bench, "bare_tcp", tostring(listener.port), seconds), "> 75 %")
  bench_exporter(bench, nginx.port, listener.port)
  bench_periodic(bench, nginx.port, listener.port)
end
