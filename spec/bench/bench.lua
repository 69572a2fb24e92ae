-- bench -- the numbers of `make bench`.
local orrery = require "orrery"
local client = require "orrery.client"
local stacks = require "orrery.stack"

local file, process, time = orrery.file, orrery.process, orrery.time

local ORRERY = "build/orrery"
local WORK = assert(os.getenv "BENCH_WORK")
local VERSION_RUNS, SERVICES, IDLE_SECONDS = 20, 200, 20

local rows = {}

local function row(what, value, wanted) rows[#rows + 1] = { what, value, wanted } end

local function say(text) io.stderr:write("bench: ", text, "\n") end

local function run(argv, timeout)
  local env = process.environ()
  local result = assert(process.run { argv = argv, env = env, timeout = timeout or 60 })
  if result.code ~= 0 then
    local said = result.stdout .. result.stderr
    error(("%s: exit code %s\n%s"):format(table.concat(argv, " "), result.code, said:sub(-1500)), 0)
  end
  return result.stdout
end

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function timed(fn)
  local began = time.monotonic()
  fn()
  return (time.monotonic() - began) * 1000
end

local function bench_version()
  say(("orrery version, %d times"):format(VERSION_RUNS))
  local values, bare = {}, {}
  for i = 1, VERSION_RUNS do
    values[i] = timed(function() run { ORRERY, "version" } end)
    bare[i] = timed(function() run { "/bin/true" } end)
  end
  row("orrery version (median)", ("%.1f ms"):format(median(values)), "< 10 ms")
  row("  of that, starting any program from here", ("%.1f ms"):format(median(bare)), "")
end

-- ---- a running stack ----

local function with_stack(path, fn)
  local stack, problems = stacks.load(path, {})
  if not stack then error(stacks.format(problems), 0) end
  local began = time.monotonic()
  local ok, message = pcall(run, { ORRERY, "-f", path, "up", "-d" }, 900)
  local took = time.monotonic() - began
  if ok then ok, message = pcall(fn, stack, took) end
  run({ ORRERY, "-f", path, "down" }, 120)
  if not ok then error(message, 0) end
end

local function connect(stack)
  local agent, state = client.connect(stack)
  return agent or error(state, 0), state
end

local function field(pid, name)
  local text = assert(file.read(("/proc/%d/status"):format(pid)))
  return tonumber(text:match(name .. ":%s*(%d+)"))
end

-- Nanoseconds on a processor so far.
local function cpu(pid)
  return tonumber(assert(file.read(("/proc/%d/schedstat"):format(pid))):match("^%d+"))
end

local function write_stack(name, text)
  local folder = WORK .. "/" .. name
  assert(file.mkdir(folder, "0755"))
  assert(file.write(folder .. "/stack.lua", text, { mode = "0644" }))
  return folder .. "/stack.lua"
end

local PDS_STACK = [[return {
  name = "bench-pds", profile = "simple-pds", stateDir = "state", domain = "localhost",
  services = { pds = { port = %d }, plc = { port = %d } },
}]]

local function bench_pds()
  say("simple-pds: starting it")
  local path = write_stack("pds", PDS_STACK:format(orrery.net.free_port(), orrery.net.free_port()))
  with_stack(path, function(stack, took)
    local _, state = connect(stack)
    local agent, guard = state.agent.pid, state.agent.guard
    row("simple-pds: up -d until settled", ("%.1f s"):format(took), "")
    say(("simple-pds: idle for %d s"):format(IDLE_SECONDS))
    local before = cpu(agent) + cpu(guard)
    time.sleep(IDLE_SECONDS)
    local used = cpu(agent) + cpu(guard) - before
    local memory = field(agent, "RssAnon") + field(guard, "RssAnon")
    row("agent and guard, anonymous memory", ("%.2f MiB"):format(memory / 1024), "< 6 MiB")
    row("  agent alone", ("%.2f MiB"):format(field(agent, "RssAnon") / 1024), "")
    row(("agent and guard, idle, over %d s"):format(IDLE_SECONDS),
      ("%.3f %% of a core"):format(used / IDLE_SECONDS / 1e7), "< 0.1 %")
  end)
end

-- ---- many services ----

local SLEEPS_STACK = [[
local services = {}
for n = 1, %d do services["sleep-" .. n] = { exec = { "sleep", "1000" } } end
return { name = "bench-sleeps", profile = "custom", stateDir = "state", services = services }
]]

-- From the first service that starts to the last that runs.
local function start_span(stack)
  local agent = connect(stack)
  local events = assert(agent:events { since = 0, follow = false })
  local first, last, running
  running = 0
  for event in function() return events:next(5) end do
    if event.type == "state" and event.to == "starting" then first = first or event.at end
    if event.type == "state" and event.to == "running" then
      last, running = event.at, running + 1
    end
  end
  events.close()
  assert(running == SERVICES, ("%d of %d services ran"):format(running, SERVICES))
  return (last - first) * 1000
end

local function bench_sleeps()
  say(("%d services that need nothing"):format(SERVICES))
  local path = write_stack("sleeps", SLEEPS_STACK:format(SERVICES))
  local bare = {}
  for i = 1, 5 do bare[i] = tonumber(run { WORK .. "/fork_exec", tostring(SERVICES) }) end
  with_stack(path, function(stack, took)
    local ours, base = start_span(stack), median(bare)
    row(("%d services: bare fork and exec"):format(SERVICES), ("%.0f ms"):format(base), "")
    row("  first starting to last running, here", ("%.0f ms"):format(ours), "")
    row("  beyond fork and exec, each", ("%.2f ms"):format((ours - base) / SERVICES), "< 0.2 ms")
    row("  up -d, all of it", ("%.2f s"):format(took), "")
  end)
end

local function bench_graph()
  require "bench.graph" { row = row, say = say, run = run, work = WORK, orrery = ORRERY }
end

local function print_table()
  for _, line in ipairs(rows) do
    print(("%-48s %18s   %s"):format(line[1], line[2], line[3]))
  end
end

local failed = false
for _, bench in ipairs { bench_version, bench_graph, bench_sleeps, bench_pds } do
  local ok, message = pcall(bench)
  if not ok then
    failed = true
    say("FAILED: " .. tostring(message))
  end
end
print_table()
os.exit(not failed, true)
