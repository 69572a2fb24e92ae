-- discovery_consul -- the consul backend against a real Consul, beside what curl gets from it.
local orrery = require "orrery"

local consul = require "bench.consul"
local shared = require "bench.discovery"

local discovery, json, process = orrery.discovery, orrery.json, orrery.process

local SERVICES, COPIES = shared.SERVICES, shared.COPIES

local function index_of(address, service)
  local answer = assert(orrery.http.get("http://" .. address .. "/v1/health/service/" .. service))
  return answer.headers["x-consul-index"]
end

--- A curl that has asked to be told of a change; the result waits for its end.
local function start_curl(address)
  local url = ("http://%s/v1/health/service/wake?wait=60s&index=%s"):format(address,
    index_of(address, "wake"))
  return function()
    assert(process.run { argv = { "curl", "-sf", "-o", "/dev/null", url }, timeout = 60 })
  end
end

-- ---- many ----

-- What a node's agent would tell the catalog. One agent with all instances gets slower with the
-- square of them.
local function described(number, copy, port)
  local service = "many-" .. number
  local r, node = shared.record(service, copy, port), "node-" .. copy
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

local function with_server(bench, fn)
  local address, stop = consul.start(bench)
  local ok, problem = pcall(function()
    local backend <close> = assert(discovery.open("consul", { consulAddress = address }))
    fn(backend, address)
  end)
  stop()
  if not ok then error(problem, 0) end
end

return function(bench)
  if not consul.found(bench) then return end
  bench.say("consul: waking, registering, listing, watching")
  with_server(bench, function(backend, address)
    shared.wake(bench, "consul", backend)
    shared.wake_curl(bench, "curl's own blocking query", backend, function()
      return start_curl(address)
    end)
    shared.register(bench, backend, true)
  end)
  with_server(bench, function(backend, address)
    populate(bench, address)
    shared.watch(bench, backend, shared.list(bench, backend), function(number)
      put_instance(address, number, 1, 20000 + number)
    end)
  end)
end
