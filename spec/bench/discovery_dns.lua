-- discovery_dns -- the dns backend against a real BIND and Knot, beside what dig gets from them.
local orrery = require "orrery"
local shared = require "bench.discovery"

local discovery, file, process, task, time = orrery.discovery, orrery.file, orrery.process,
  orrery.task, orrery.time

local SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI="
local ALONE, MANY, WRITERS = 300, 2000, 32
local SERVICES, COPIES, LIFETIME = shared.SERVICES, shared.COPIES, 30
local CHANGES, WATCHED_SECONDS = 15, 40

-- ---- the servers ----

local BIND = [[
key "upd" { algorithm hmac-sha256; secret "%s"; };
options {
  directory "%s"; pid-file none; session-keyfile "session.key"; lock-file none;
  listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; max-records-per-type 0;
  recursion no; dnssec-validation no; notify no; allow-transfer { any; };
};
controls { };
zone "svc.test" { type primary; file "svc.zone"; update-policy { grant upd zonesub ANY; }; };
zone "many.test" { type primary; file "many.zone"; };
]]

local KNOT = [[
key:
  - id: upd
    algorithm: hmac-sha256
    secret: %s
server:
    rundir: "%s"
    listen: 127.0.0.1@%d
    udp-workers: 1
    tcp-workers: 1
database:
    storage: "%s/db"
acl:
  - id: upd
    key: upd
    action: update
template:
  - id: default
    storage: "%s"
zone:
  - domain: svc.test
    file: svc.zone
    acl: upd
  - domain: many.test
    file: many.zone
]]

local HEAD = "$TTL %d\n@ SOA ns x 1 60 30 3600 1\n@ NS ns\nns A 127.0.0.1\n"

-- A zone with all the instances, as our registering would make it.
local function many_zone()
  local lines = { HEAD:format(LIFETIME) }
  for s = 1, SERVICES do
    local service = ("_many-%d._tcp"):format(s)
    lines[#lines + 1] = ("_services._dns-sd._udp PTR %s"):format(service)
    for i = 1, COPIES do
      local id = ("many-%d-%d"):format(s, i)
      local srv = ("SRV 0 0 %d %s.addr"):format(i, id)
      lines[#lines + 1] = ("%s PTR %s.%s\n%s %s\n%s.%s %s\n%s.addr A 10.0.0.1"):format(service, id,
        service, service, srv, id, service, srv, id)
      lines[#lines + 1] = ('%s.%s TXT "orrery=1" "id=%s" "node=n%d" "address=10.0.0.1" '
        .. '"scheme=http" "tag=bench" "rev=1" "ttl=3600" "exp=9999999999"'):format(id, service, id,
        i)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- A server, as a child that ends with us: its address, and what stops it.
local function start(bench, kind)
  local dir, port = bench.work .. "/" .. kind, assert(orrery.net.free_port())
  assert(file.mkdir(dir .. "/db", "0755"))
  assert(file.write(dir .. "/svc.zone", HEAD:format(1)))
  assert(file.write(dir .. "/many.zone", many_zone()))
  local config = kind == "bind" and BIND:format(SECRET, dir, port)
    or KNOT:format(SECRET, dir, port, dir, dir)
  assert(file.write(dir .. "/conf", config))
  local peer = "build/peers/" .. kind
  local argv = { peer .. "/usr/sbin/knotd", "-c", dir .. "/conf" }
  if kind == "bind" then
    argv = { peer .. "/usr/sbin/named", "-n", "1", "-f", "-c", dir .. "/conf" }
  end
  local server = assert(process.spawn { argv = argv, instance = "bench/" .. kind,
    env = { LD_LIBRARY_PATH = peer .. "/usr/lib/x86_64-linux-gnu" },
    log = { path = dir .. "/log" } })
  local address = "127.0.0.1:" .. port
  for _ = 1, 400 do
    local _, _, code = orrery.dns.query("many.test", "SRV", { server = address, timeout = 1 })
    if code == "not_found" then break end
    time.sleep(0.05)
  end
  return address, function() server:signal "TERM"; server:wait(20) end
end

-- ---- numbers ----

local function bench_register(bench, backend, name)
  local seconds = shared.timed(function()
    for i = 1, ALONE do assert(backend:register(shared.record("alone", i, i), 3600)) end
  end)
  bench.row(name .. ": registrations, one after the other", ("%.0f /s"):format(ALONE / seconds))
  local cpu
  seconds, cpu = shared.timed(function()
    shared.spread_out(MANY, WRITERS, function(number)
      assert(backend:register(shared.record("many-" .. number % 40, number, number), 3600))
    end)
  end)
  bench.row(("  %d registrations, %d at a time"):format(MANY, WRITERS),
    ("%.0f /s"):format(MANY / seconds))
  bench.row("    our CPU for each", ("%.0f us"):format(cpu * 1e6 / MANY))
end

local function bench_wake(bench, backend)
  local values = {}
  assert(backend:register(shared.record("wake", 1, 1), 3600))
  for i = 1, CHANGES do
    local _, cursor = backend:lookup "wake"
    local woke
    local watcher = task.spawn(function()
      backend:lookup("wake", cursor, 60)
      woke = time.monotonic()
    end)
    time.sleep(0.05 * i) -- changes come at any moment of the lifetime
    local began = time.monotonic()
    assert(backend:register(shared.record("wake", 1, 1 + i), 3600))
    watcher:join()
    values[i] = (woke - began) * 1000
  end
  bench.row(("  change to watcher, lifetime 1 s, median of %d"):format(CHANGES),
    ("%.0f ms"):format(bench.median(values)))
end

local function bench_dig(bench, address)
  local port = address:match ":(%d+)$"
  local names = {}
  for s = 1, SERVICES do
    names[#names + 1] = ("_many-%d._tcp.many.test SRV"):format(s)
    for i = 1, COPIES do
      names[#names + 1] = ("many-%d-%d._many-%d._tcp.many.test SRV"):format(s, i, s)
      names[#names + 1] = ("many-%d-%d._many-%d._tcp.many.test TXT"):format(s, i, s)
    end
  end
  assert(file.write(bench.work .. "/names", table.concat(names, "\n") .. "\n"))
  local seconds = shared.timed(function()
    bench.run({ "sh", "-c", ("dig @127.0.0.1 -p %s +short -f %s/names >/dev/null"):format(port,
      bench.work) }, 120)
  end)
  bench.row(("    dig, the same %d questions"):format(#names), ("%.2f s"):format(seconds))
end

local function bench_watch(bench, backend, cursors)
  local tasks = {}
  for number, cursor in ipairs(cursors) do
    tasks[number] = task.spawn(function()
      local at, _ = cursor, nil
      while true do
        _, at = assert(backend:lookup("many-" .. number, at, 300))
      end
    end)
  end
  local _, cpu = shared.timed(function() time.sleep(WATCHED_SECONDS) end)
  bench.row(("  the same watched, lifetime %d s"):format(LIFETIME),
    ("%.2f %% of a core"):format(cpu / WATCHED_SECONDS * 100))
  bench.row("    RSS", ("%.1f MiB"):format(shared.rss()))
  for _, watcher in ipairs(tasks) do watcher:cancel() end
end

return function(bench)
  local key = bench.work .. "/upd.key"
  assert(file.write(key, "hmac-sha256:upd:" .. SECRET, { mode = "0600" }))
  for _, kind in ipairs { "bind", "knot" } do
    bench.say("dns: " .. kind)
    local address, stop = start(bench, kind)
    local ok, message = pcall(function()
      local backend <close> = assert(discovery.open("dns", { dnsDomain = "svc.test",
        dnsResolver = address, dnsKeyFile = key, dnsTtl = 1 }))
      bench_register(bench, backend, "dns, " .. kind)
      bench_wake(bench, backend)
      local many <close> = assert(discovery.open("dns", { dnsDomain = "many.test",
        dnsResolver = address }))
      local cursors = shared.list(bench, many)
      bench_dig(bench, address)
      bench_watch(bench, many, cursors)
    end)
    stop()
    if not ok then error(message, 0) end
  end
end
