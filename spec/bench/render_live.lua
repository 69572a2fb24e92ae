-- render_live -- a change in the backend, until the file that lists it is on the disk and the
-- reload signal has come; beside the server's own wake-up, in the same changes.
local consul = require "bench.consul"
local orrery = require "orrery"
local shared = require "bench.discovery"

local discovery, file, json, process, task, time = orrery.discovery, orrery.file, orrery.json,
  orrery.process, orrery.task, orrery.time

local CHANGES = 100
local PAUSE = 0.25 -- seconds between changes: a watch asks five times in a second, and no more

local TEMPLATE = "%{ for i in services.wake ~}\nserver ${i.address}:${i.port}\n%{ endfor ~}\n"

-- ---- the stack ----

local function write_stack(bench, dir, settings)
  local config = dir .. "/state/config/front"
  local stack = { name = "bench", stateDir = dir .. "/state", discovery = settings, services = {
    front = { exec = { bench.work .. "/render_live", config, "w.txt", dir .. "/log" },
      user = process.user().name, dependencies = { { name = "wake", discover = true } },
      config = { ["w.txt"] = { template = TEMPLATE, wait = 0, backups = 0,
        reload = { signal = "HUP" } } } } } }
  assert(file.mkdir(dir))
  assert(file.write(dir .. "/stack.json", json.encode(stack)))
end

--- The agent, as a child that ends with us.
local function start(bench, dir)
  local agent = assert(process.spawn { argv = { bench.orrery, "-f", dir, "up" },
    env = process.environ(), instance = "bench/live", log = { path = dir .. "/up.log" } })
  for _ = 1, 400 do
    if file.stat(dir .. "/log") then return agent end
    time.sleep(0.05)
  end
  agent:kill()
  error("the agent did not start:\n" .. (file.read(dir .. "/up.log") or ""), 0)
end

--- The times of the last change that the service noted: of its file, of its signal.
local function last_times(dir, count)
  for _ = 1, 5000 do
    local text, files, signals = file.read(dir .. "/log"), {}, {}
    for what, at in text:gmatch "(%l+) (%d+)\n" do
      local list = what == "file" and files or what == "signal" and signals
      if list then list[#list + 1] = tonumber(at) / 1e9 end
    end
    if #signals >= count then return files[#files], signals[#signals], #signals end
    time.sleep(0.002)
  end
  error("no signal came: " .. file.read(dir .. "/up.log"):sub(-500), 0)
end

-- ---- numbers ----

local function record(port)
  return { service = "wake", id = "wake@n1", node = "n1", address = "127.0.0.1", port = port }
end

local function measure(dir, backend)
  local times, woke = { wake = {}, file = {}, signal = {}, after = {} }, task.queue()
  local watcher = shared.watch_wake(backend, woke)
  local seen = select(2, file.read(dir .. "/log"):gsub("signal", ""))
  for i = 1, CHANGES do
    time.sleep(PAUSE)
    local began = time.monotonic()
    assert(backend:register(record(1000 + i), 3600))
    local wake = assert(woke:pop(10)) - began
    local written, signal, count = last_times(dir, seen + 1)
    seen = count
    times.wake[i], times.file[i], times.signal[i] = wake, written - began, signal - began
    times.after[i] = signal - began - wake
  end
  watcher:cancel()
  return times
end

--- What it costs to have a small file on the disk, by which the agent begins to write.
local function bench_disk(bench)
  local values = {}
  for i = 1, CHANGES do
    local began = time.monotonic()
    assert(file.write(bench.work .. "/synced", tostring(i), { sync = true }))
    values[i] = time.monotonic() - began
  end
  bench.row("a small file written and synced, median and p99", shared.spread(values))
end

local function bench_backend(bench, name, settings, options)
  local dir = bench.work .. "/live-" .. name
  local backend <close> = assert(discovery.open(name, options))
  assert(backend:register(record(1), 3600))
  write_stack(bench, dir, settings)
  local agent = start(bench, dir)
  local ok, times = pcall(measure, dir, backend)
  agent:signal "TERM"
  if not agent:wait(30) then agent:kill() end
  if not ok then error(times, 0) end
  bench.row(("%s: change to its watcher, median and p99 of %d"):format(name, CHANGES),
    shared.spread(times.wake))
  bench.row("  to the file on the disk, wait = 0", shared.spread(times.file))
  bench.row("  to the reload signal in the service", shared.spread(times.signal))
  bench.row("  the signal after the watcher's wake-up", shared.spread(times.after),
    "< 3 ms, and the disk")
end

-- ---- servers ----

local function bench_consul(bench)
  if not consul.found(bench) then return end
  local address, stop = consul.start(bench)
  local ok, problem = pcall(bench_backend, bench, "consul",
    { backend = "consul", consulAddress = address }, { consulAddress = address })
  stop()
  if not ok then error(problem, 0) end
end

return function(bench)
  bench.say "a change in the backend, to the file and the reload; the file backend settles 20 ms"
  local folder = bench.work .. "/live-records"
  bench_backend(bench, "file", { backend = "file", filePath = folder }, { filePath = folder })
  bench_consul(bench)
  bench_disk(bench)
  for _, peer in ipairs { "consul-template", "confd" } do
    local found = process.run { argv = { "sh", "-c", "command -v " .. peer } }
    bench.say(peer .. (found and found.code == 0 and " is here, but not measured"
      or " is not in this Debian: not measured"))
  end
end
