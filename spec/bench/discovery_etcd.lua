-- discovery_etcd -- the etcd backend against a real etcd, beside what curl gets from its watch.
local orrery = require "orrery"
local shared = require "bench.discovery"

local discovery, file, process, time = orrery.discovery, orrery.file, orrery.process, orrery.time

local VERSIONS = { { "etcd34", "3.4" }, { "etcd35", "3.5" } }
local WIDTH = 8

-- "/atproto/services/wake/" and its end, as the gateway wants them
local WATCH = '{"create_request": {"key": "L2F0cHJvdG8vc2VydmljZXMvd2FrZS8=", '
  .. '"range_end": "L2F0cHJvdG8vc2VydmljZXMvd2FrZTA="}}'

--- A server that ends with us: its address, and what stops it.
local function start(bench, program, version)
  local dir = ("%s/etcd-%s-%d"):format(bench.work, version, orrery.net.free_port())
  local address = "127.0.0.1:" .. orrery.net.free_port()
  local peer = "http://127.0.0.1:" .. orrery.net.free_port()
  local argv = { program, "--name", "n", "--data-dir", dir, "--logger", "zap", "--log-level",
    "error", "--listen-client-urls", "http://" .. address,
    "--advertise-client-urls", "http://" .. address, "--listen-peer-urls", peer,
    "--initial-advertise-peer-urls", peer, "--initial-cluster", "n=" .. peer }
  if version == "3.5" then argv[#argv + 1] = "--unsafe-no-fsync" end
  local server = assert(process.spawn { argv = argv, instance = "bench/etcd" })
  for _ = 1, 400 do
    local answer = orrery.http.post("http://" .. address .. "/v3/kv/range", '{"key":"YQ=="}')
    if answer and answer.status == 200 then break end
    time.sleep(0.05)
  end
  return address, function() server:kill(); server:wait(10) end
end

--- A curl that has begun to watch; the result waits for its first event.
local function start_curl(address)
  local curl = assert(process.spawn { instance = "bench/curl", expect = '"events"', argv = {
    "curl", "-sN", "http://" .. address .. "/v3/watch", "-d", WATCH } })
  return function()
    assert(curl:expected(60))
    curl:kill()
  end
end

local function with_server(bench, program, version, fn)
  local address, stop = start(bench, program, version)
  local ok, problem = pcall(function()
    local backend <close> = assert(discovery.open("etcd", { etcdEndpoints = address }))
    fn(backend, address)
  end)
  stop()
  if not ok then error(problem, 0) end
end

local function populate(backend)
  shared.spread_out(shared.SERVICES * shared.COPIES, WIDTH, function(n)
    local number, copy = (n - 1) % shared.SERVICES + 1, (n - 1) // shared.SERVICES + 1
    assert(backend:register(shared.record("many-" .. number, copy, n), 3600))
  end)
end

local function bench_many(bench, backend, address)
  local other <close> = assert(discovery.open("etcd", { etcdEndpoints = address }))
  bench.say("etcd: 10,000 registrations")
  populate(other)
  shared.watch(bench, backend, shared.list(bench, backend), function(number)
    assert(other:register(shared.record("many-" .. number, 1, 20000 + number)))
  end)
end

local function bench_version(bench, name, version)
  local program = ("build/peers/%s/usr/bin/etcd"):format(name)
  if not file.stat(program) then
    bench.say(("etcd %s: skipped, as %s is not there"):format(version, program))
    return
  end
  bench.say(("etcd %s: waking, registering, listing, watching"):format(version))
  with_server(bench, program, version, function(backend, address)
    shared.wake(bench, "etcd " .. version, backend)
    shared.wake_curl(bench, "curl's own watch stream", backend, function()
      return start_curl(address)
    end)
    shared.register(bench, backend)
    bench_many(bench, backend, address)
  end)
end

return function(bench)
  for _, version in ipairs(VERSIONS) do bench_version(bench, version[1], version[2]) end
end
