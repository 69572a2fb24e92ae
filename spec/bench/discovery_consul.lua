-- discovery_consul -- the consul backend against a real Consul, beside what curl gets from it.
local orrery = require "orrery"

local discovery, file, json, process, task, time = orrery.discovery, orrery.file, orrery.json,
  orrery.process, orrery.task, orrery.time

local CONSUL = "build/peers/consul/usr/bin/consul"
local CHANGES, CURL_CHANGES = 300, 60
local REGISTRATIONS, SERVICES, COPIES = 400, 200, 50
local WATCHED_SECONDS = 20

-- ---- the server ----

local function ports()
  local all = { serf_wan = -1, dns = -1, grpc = -1 }
  for _, name in ipairs { "http", "server", "serf_lan" } do all[name] = orrery.net.free_port() end
  return all
end

--- A server in memory, as a child that ends with us: its address, and what stops it.
local function start(bench)
  local path, chosen = bench.work .. "/consul.json", ports()
  assert(file.write(path, json.encode { ports = chosen, bind_addr = "127.0.0.1",
    client_addr = "127.0.0.1", log_level = "err", disable_update_check = true }))
  local server = assert(process.spawn { argv = { CONSUL, "agent", "-dev", "-config-file=" .. path },
    instance = "bench/consul", log = { path = bench.work .. "/consul.log" } })
  local address = "127.0.0.1:" .. chosen.http
  for _ = 1, 200 do
    local leader = orrery.http.get("http://" .. address .. "/v1/status/leader")
    if leader and leader.body:find "127" then break end
    time.sleep(0.05)
  end
  return address, function() server:signal "TERM"; server:wait(10) end
end

-- ---- numbers ----

local function record(service, number, port)
  return { service = service, id = ("%s@n%d"):format(service, number), node = "n" .. number,
    address = "127.0.0.1", port = port, scheme = "http", tags = { "bench" } }
end

local function spread(values)
  table.sort(values)
  local function at(part) return values[math.max(1, math.ceil(#values * part))] * 1000 end
  return ("%.1f ms, %.1f ms"):format(at(0.5), at(0.99))
end

local function rss()
  local text = assert(file.read "/proc/self/status")
  return tonumber(text:match "VmRSS:%s*(%d+)") / 1024
end

--- Seconds, and seconds of CPU, that `fn` takes.
local function timed(fn)
  local cpu, began = os.clock(), time.monotonic()
  fn()
  return time.monotonic() - began, os.clock() - cpu
end

--- Runs fn(1) to fn(count) in `width` tasks.
local function spread_out(count, width, fn)
  local next_number, tasks = 0, {}
  for i = 1, width do
    tasks[i] = task.spawn(function()
      while next_number < count do
        next_number = next_number + 1
        fn(next_number)
      end
    end)
  end
  for i = 1, width do tasks[i]:join() end
end

-- ---- a change, until its watcher knows ----

local function bench_wake(bench, backend)
  local values, woke = {}, task.queue()
  assert(backend:register(record("wake", 1, 1), 3600))
  local watcher = task.spawn(function()
    local _, cursor = backend:lookup "wake"
    woke:push(0)
    while true do
      _, cursor = assert(backend:lookup("wake", cursor, 60))
      woke:push(time.monotonic())
    end
  end)
  woke:pop()
  for i = 1, CHANGES do
    time.sleep(0.01) -- its next question is under way by then
    local began = time.monotonic()
    assert(backend:register(record("wake", 1, 1 + i), 3600))
    values[i] = woke:pop() - began
  end
  watcher:cancel()
  bench.row(("consul: change to watcher, median and p99 of %d"):format(CHANGES), spread(values), "")
end

local function index_of(address, service)
  local answer = assert(orrery.http.get("http://" .. address .. "/v1/health/service/" .. service))
  return answer.headers["x-consul-index"]
end

local function bench_curl(bench, backend, address)
  local values = {}
  for i = 1, CURL_CHANGES do
    local url = ("http://%s/v1/health/service/wake?wait=60s&index=%s"):format(address,
      index_of(address, "wake"))
    local woke
    local waiting = task.spawn(function()
      assert(process.run { argv = { "curl", "-sf", "-o", "/dev/null", url }, timeout = 60 })
      woke = time.monotonic()
    end)
    time.sleep(0.1)
    local began = time.monotonic()
    assert(backend:register(record("wake", 1, 10000 + i), 3600))
    waiting:join()
    values[i] = woke - began
  end
  bench.row(("  curl's own blocking query, of %d"):format(CURL_CHANGES), spread(values), "")
end

-- ---- many ----

local function bench_register(bench, backend)
  for _, width in ipairs { 1, 8 } do
    local seconds, cpu = timed(function()
      spread_out(REGISTRATIONS, width, function(number)
        assert(backend:register(record("alone-" .. width, number, number), 3600))
      end)
    end)
    bench.row(("  %d registrations, %d at a time"):format(REGISTRATIONS, width),
      ("%.0f /s"):format(REGISTRATIONS / seconds), "")
    bench.row("    our CPU for each", ("%.0f us"):format(cpu * 1e6 / REGISTRATIONS), "")
    spread_out(REGISTRATIONS, 8, function(number)
      assert(backend:deregister("alone-" .. width, record("alone-" .. width, number).id))
    end)
  end
end

-- What a node's agent would tell the catalog. One agent with all instances gets slower with the
-- square of them.
local function described(number, copy, port)
  local service = "many-" .. number
  local r, node = record(service, copy, port), "node-" .. copy
  return node, { ID = r.id, Service = service, Address = r.address, Port = port, Tags = r.tags,
    Meta = { scheme = "http", node = r.node, ["orrery-0"] = "{}" } },
    { Node = node, CheckID = "service:" .. r.id, ServiceID = r.id, Status = "passing" }
end

local function put(address, path, body)
  local answer = assert(orrery.http.request { url = "http://" .. address .. path, method = "PUT",
    reuse = true, body = json.encode(body) })
  assert(answer.status == 200, answer.body)
end

local function put_instance(address, number, copy, port)
  local node, service, check = described(number, copy, port)
  put(address, "/v1/catalog/register",
    { Node = node, Address = "127.0.0.1", Service = service, Check = check })
end

--- Thirty instances of a node in one transaction.
local function put_instances(address, copy, from)
  local steps = { { Node = { Verb = "set", Node = { Node = "node-" .. copy,
    Address = "127.0.0.1" } } } }
  for number = from, math.min(from + 29, SERVICES) do
    local node, service, check = described(number, copy, number)
    steps[#steps + 1] = { Service = { Verb = "set", Node = node, Service = service } }
    steps[#steps + 1] = { Check = { Verb = "set", Check = check } }
  end
  put(address, "/v1/txn", steps)
end

local function populate(bench, address)
  bench.say(("consul: putting %d instances into the catalog"):format(SERVICES * COPIES))
  for copy = 1, COPIES do
    for from = 1, SERVICES, 30 do put_instances(address, copy, from) end
  end
end

local function bench_list(bench, backend)
  local cursors, found, before = {}, 0, rss()
  local seconds, cpu = timed(function()
    assert(#backend:services() >= SERVICES)
    spread_out(SERVICES, 8, function(number)
      local list, cursor = assert(backend:lookup("many-" .. number))
      cursors[number], found = cursor, found + #list
    end)
  end)
  assert(found == SERVICES * COPIES, found)
  bench.row(("  %d instances of %d services listed"):format(found, SERVICES),
    ("%.2f s"):format(seconds), "")
  bench.row("    our CPU, memory grown by", ("%.2f s, %.0f MiB"):format(cpu, rss() - before), "")
  return cursors
end

local function bench_watch(bench, backend, address, cursors)
  local woke, watchers = task.queue(), {}
  for number = 1, SERVICES do
    watchers[number] = task.spawn(function()
      local cursor = cursors[number]
      while true do
        local list, now = assert(backend:lookup("many-" .. number, cursor, 600))
        if now ~= cursor then woke:push { at = time.monotonic(), first = list[1] } end
        cursor = now
      end
    end)
  end
  time.sleep(3)
  local _, cpu = timed(function() time.sleep(WATCHED_SECONDS) end)
  bench.row(("  %d services watched, idle"):format(SERVICES),
    ("%.2f %% of a core"):format(cpu / WATCHED_SECONDS * 100), "")
  bench.row("    our memory, all of it", ("%.0f MiB"):format(rss()), "")
  local values = {}
  for i = 1, SERVICES do
    local began = time.monotonic()
    put_instance(address, i, 1, 20000 + i)
    values[i] = assert(woke:pop(60)).at - began
  end
  bench.row("    a change of each, median and p99", spread(values), "")
  for _, watcher in ipairs(watchers) do watcher:cancel() end
end

local function with_server(bench, fn)
  local address, stop = start(bench)
  local ok, problem = pcall(function()
    local backend <close> = assert(discovery.open("consul", { consulAddress = address }))
    fn(backend, address)
  end)
  stop()
  if not ok then error(problem, 0) end
end

return function(bench)
  if not file.stat(CONSUL) then
    bench.say("consul: skipped, as " .. CONSUL .. " is not there")
    return
  end
  bench.say("consul: waking, registering, listing, watching")
  with_server(bench, function(backend, address)
    bench_wake(bench, backend)
    bench_curl(bench, backend, address)
    bench_register(bench, backend)
  end)
  with_server(bench, function(backend, address)
    populate(bench, address)
    bench_watch(bench, backend, address, bench_list(bench, backend))
  end)
end
