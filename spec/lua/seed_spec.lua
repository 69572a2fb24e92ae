-- The seed's functions: their defaults and words, and that each is a face of what really runs.
local orrery = require "orrery"
local servers = require "support.servers"
local support = require "support"

local function raises(message, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal(message, err)
end

describe("mkServiceDiscovery", function()
  it("has the seed's defaults for each backend", function()
    local d = orrery.mkServiceDiscovery {}
    assert.same({ "consul", 30, 60 }, { d.backend, d.healthCheckInterval, d.registrationTtl })
    assert.same({ consul = { address = "127.0.0.1:8500", datacenter = "dc1", enableTLS = false } },
      d.config)
    assert.same({ etcd = { endpoints = { "127.0.0.1:2379" }, keyPrefix = "/atproto/services",
      enableTLS = false } }, orrery.mkServiceDiscovery { backend = "etcd" }.config)
    assert.same({ dns = { domain = "atproto.local", resolver = "127.0.0.1:53", ttl = 300 } },
      orrery.mkServiceDiscovery { backend = "dns" }.config)
    assert.same({ env = { prefix = "ATPROTO_SERVICE_" } },
      orrery.mkServiceDiscovery { backend = "env" }.config)
  end)

  it("takes keys of other backends, and leaves them out; refuses what is none", function()
    local d = orrery.mkServiceDiscovery { backend = "file", consulAddress = "x:1" }
    assert.is_nil(d.discovery.consulAddress)
    raises("Invalid discovery backend: zk. Valid backends: consul dns env etcd file",
      orrery.mkServiceDiscovery, { backend = "zk" })
    raises('mkServiceDiscovery: unknown argument "consulAdress"; did you mean "consulAddress"?',
      orrery.mkServiceDiscovery, { consulAdress = "x" })
  end)

  it("opens the backend", function()
    local d = orrery.mkServiceDiscovery { backend = "file", filePath = support.tmp() }
    local backend <close> = assert(d.open())
    assert(backend:register(assert(d.registerService("pds", { port = 3000, instanceId = "a" }))))
    assert.equal("pds-a", assert(backend:lookup("pds"))[1].id)
    assert.equal("invalid", select(3, d.registerService("pds", { port = 70000 })))
  end)
end)

describe("generateDiscoveryConfig", function()
  local function config(backend, service)
    return orrery.generateDiscoveryConfig(orrery.mkServiceDiscovery { backend = backend }, "pds",
      service or { port = 3000, node = "edge", tags = { "eu" } })
  end

  it("is the body that consul gets", function()
    local got = config("consul").service
    assert.same({ "pds@edge", "pds", 3000, { "eu" } }, { got.ID, got.Name, got.Port, got.Tags })
    assert.equal("60s", got.Check.TTL)
    assert.equal("120s", got.Check.DeregisterCriticalServiceAfter) -- twice the ttl
  end)

  it("is the key, the value and the lease of etcd", function()
    local got = config "etcd"
    assert.equal("/atproto/services/pds/pds@edge", got.key)
    assert.equal(3000, orrery.json.decode(got.value).port)
    assert.equal(60, got.lease)
  end)

  it("is the records of the zone", function()
    local types = {}
    for _, record in ipairs(config("dns").records) do types[#types + 1] = record.type end
    assert.same({ "PTR", "PTR", "SRV", "SRV", "TXT", "A" }, types)
    assert.matches("^0 0 3000 pds%-edge%-", config("dns").records[3].value)
  end)

  it("is the record of a file, and the variables of env, as they are read back", function()
    assert.equal(3000, config("file").pds.port)
    local folder = support.tmp()
    orrery.file.write(folder .. "/pds.json", orrery.json.encode(config("file").pds))
    local backend <close> = assert(orrery.discovery.open("file", { filePath = folder }))
    assert.same({ "eu" }, assert(backend:lookup("pds"))[1].tags)
    assert.equal("3000", config("env").ATPROTO_SERVICE_PDS_PORT)
  end)

  it("says what cannot be registered", function()
    local got, message, code = config("consul", { port = "http" })
    assert.is_nil(got)
    assert.matches("port", message)
    assert.equal("invalid", code)
  end)
end)

describe("mkDependency", function()
  it("has the seed's defaults, and the check that the service really has", function()
    local d = orrery.mkDependency { name = "pds", service = { port = 3000 } }
    assert.same({ "required", 30, 3, "exponential" }, { d.type, d.timeout, d.retries, d.backoff })
    assert.same({ "http", "/xrpc/_health", 3000, 200, 10 }, { d.healthCheck.strategy,
      d.healthCheck.endpoint, d.healthCheck.port, d.healthCheck.expectedStatus,
      d.healthCheck.interval })
    assert.equal("/_health", orrery.mkDependency { name = "plc" }.healthCheck.endpoint)
    assert.equal("tcp", orrery.mkDependency { name = "x", service = { port = 1 } }
      .healthCheck.strategy)
    assert.same({}, orrery.mkDependency { name = "x" }.healthCheck)
  end)

  it("refuses what it does not know, in the seed's words", function()
    raises("Invalid dependency type: hard. Valid types: circular optional required soft",
      orrery.mkDependency, { name = "x", type = "hard" })
    assert.error_matches(function()
      orrery.mkDependency { name = "x", healthCheck = { strategy = "tcp", prot = 1 } }
    end, 'healthCheck.prot: unknown key; did you mean "port"?', 1, true)
  end)
end)

describe("mkDependencyGraph", function()
  local services = { database = {}, pds = { dependencies = { "database" } },
    relay = { dependencies = { "database", "pds" } },
    appview = { dependencies = { relay = { type = "required" }, { name = "database" } } } }

  it("sorts dependencies first, and keeps what several share", function()
    local graph = orrery.mkDependencyGraph(services)
    assert.same({ "database", "pds", "relay", "appview" }, graph.topologicalSort())
    assert.equal(3, #graph.getDependents "database")
    assert.equal(2, #graph.getDependencies "appview")
    assert.same({ "database", "pds", "relay" }, graph.resolveDependencies "appview")
    assert.is_true(graph.validate())
  end)

  it("names a cycle, and takes one that is marked circular", function()
    local ring = { pds = { dependencies = { "appview" } },
      appview = { dependencies = { { name = "pds" } } } }
    local graph = orrery.mkDependencyGraph(ring)
    local order, message, code = graph.topologicalSort()
    assert.is_nil(order)
    assert.equal("Circular dependency detected: pds -> appview -> pds", message)
    assert.equal("cycle", code)
    assert.equal("cycle", select(3, orrery.generateDependencyDocs(graph)))
    ring.appview.dependencies[1].type = "circular"
    assert.equal(2, #orrery.mkDependencyGraph(ring).topologicalSort())
  end)

  it("documents itself", function()
    local text = orrery.generateDependencyDocs(orrery.mkDependencyGraph {
      database = { type = "postgresql" }, pds = { dependencies = { "database" } } })
    assert.matches("## Startup Order\ndatabase → pds\n", text, 1, true)
    assert.matches("## pds\n\n### Dependencies\n- **database** (required): command health check",
      text, 1, true)
    assert.matches("## database\n\n### Dependencies\nNone\n\n### Dependents\n- **pds**", text, 1,
      true)
  end)
end)

describe("mkHealthCheck", function()
  it("runs: passes at a real port, fails at none after its retries", function()
    local http = servers.start("key_store.py", "0")
    local check = orrery.mkHealthCheck { name = "web", healthCheck = { strategy = "tcp",
      port = http.ports[1] } }
    assert.equal("tcp-health-check-web", check.name)
    assert.is_true(check.run())
    http.stop()
    local closed = orrery.mkHealthCheck { name = "web", healthCheck = { strategy = "tcp",
      port = support.free_port() }, retries = 2, timeout = 5 }
    local ok, message, code = closed.run()
    assert.is_nil(ok)
    assert.matches("^Health check failed for web after 2 attempts: .*refused", message)
    assert.equal("failed", code)
    assert.equal(10.5, closed.timeout)
  end)

  it("is a handle that goes on, and a program of its own", function()
    local path = support.tmp() .. "/there"
    local check = orrery.mkHealthCheck { name = "it", retries = 1,
      healthCheck = { strategy = "file", path = path, interval = 0.05 } }
    local handle <close> = check.start()
    assert.equal("failing", assert(handle:next(50)).state)
    local script = support.write(support.tmp() .. "/check.lua", check.script())
    assert.equal(1, (support.orrery { "script", script }))
    support.write(path, "x")
    assert.equal("passing", assert(handle:next(50)).state)
    assert.equal(0, (support.orrery { "script", script }))
  end)

  it("refuses to pass where there is nothing to look at", function()
    assert.error_matches(function() orrery.mkHealthCheck { name = "x" } end,
      "nothing is known of x to look at")
  end)
end)

describe("mkDependencyManagement", function()
  it("orders by its name, and joins what was given apart", function()
    local m = orrery.mkDependencyManagement { services = { b = {}, a = {} },
      dependencyGraph = { a = { "b" } } }
    assert.same({ "b", "a" }, m.calculateStartupOrder())
    assert.same({ { "b" }, { "a" } }, m.waves())
    assert.same({ "b" }, m.resolveDependencies "a")
    assert.same({ "a", "b" }, orrery.mkDependencyManagement { services = { b = {}, a = {} },
      startupOrder = "parallel" }.calculateStartupOrder())
    raises("Invalid startup order: x. Valid orders: dependency-first parallel manual",
      orrery.mkDependencyManagement, { startupOrder = "x" })
  end)

  it("checks what a service depends on, really", function()
    local dir = support.tmp()
    local m = orrery.mkDependencyManagement { services = { pds = { dependencies = {
      { name = "database", retries = 1, healthCheck = { strategy = "file", path = dir .. "/up" } },
      { name = "cache", type = "optional", retries = 1,
        healthCheck = { strategy = "file", path = dir .. "/no" } } } } } }
    assert.is_false(m.coordinateHealthChecks("pds").dependenciesHealthy)
    support.write(dir .. "/up", "x")
    local got = m.coordinateHealthChecks "pds"
    assert.is_true(got.dependenciesHealthy)
    assert.is_false(got.checks.cache.ok)
  end)
end)

describe("mkServiceCoordination", function()
  it("has the seed's defaults for each strategy", function()
    assert.same({ hub = { service = "coordinator", failover = {}, heartbeatInterval = 10 } },
      orrery.mkServiceCoordination {}.config)
    assert.same({ leaderElection = { lockKey = "/atproto/leader", sessionTtl = 15,
      renewInterval = 5 } }, orrery.mkServiceCoordination { strategy = "leader-follower" }.config)
    assert.same({ gossip = { port = 7946, seedNodes = {} } },
      orrery.mkServiceCoordination { strategy = "peer-to-peer" }.config)
    assert.same({ mesh = { fullMesh = false, routingTable = {}, convergenceTimeout = 30 } },
      orrery.mkServiceCoordination { strategy = "mesh" }.config)
    raises("Invalid coordination strategy: star. Valid strategies: hub-spoke leader-follower mesh "
      .. "peer-to-peer", orrery.mkServiceCoordination, { strategy = "star" })
  end)

  it("waits for the required, tells of the optional, and gives a program that does", function()
    local dir = support.tmp()
    local function dependency(name, kind)
      return { name = name, type = kind, healthCheck = { strategy = "file", interval = 0.05,
        path = dir .. "/" .. name } }
    end
    local coordination = orrery.mkServiceCoordination { dependencyTimeout = 20,
      dependencies = { pds = { dependency("database"), dependency("never", "soft") } } }
    local waiting = orrery.task.spawn(coordination.waitForDependencies, "pds")
    local ok, message, code = coordination.waitForDependencies("pds", { timeout = 0.2 })
    assert.is_nil(ok)
    assert.matches("^Health check failed for database within 0.2 s", message)
    assert.equal("timeout", code)
    support.write(dir .. "/database", "x")
    assert.is_true(waiting:join(50))
    local script = support.write(dir .. "/wait.lua",
      orrery.generateCoordinationScript(coordination, "pds"))
    local exit, out = support.orrery { "script", script }
    assert.equal("Starting coordination for service: pds\nWaiting for dependency: database\n"
      .. "Dependency database is ready\nAll dependencies ready, starting pds\n", out)
    assert.equal(0, exit)
  end)
end)

describe("mkDeploymentProfile", function()
  it("is a stack that loads, from what the others made", function()
    local profile = orrery.mkDeploymentProfile { name = "mine", domain = "x.test",
      services = { db = { type = "postgresql", port = 5432 },
        app = { exec = { "true" }, port = 3000, openFirewall = true } },
      coordination = orrery.mkServiceCoordination { dependencies = { app = { "db" } } },
      discovery = orrery.mkServiceDiscovery { backend = "file",
        services = { app = { tags = { "atproto" } } } } }
    assert.same({ valid = true, errors = {} }, profile.validate())
    assert.same({ 3000 }, profile.networking.firewall.allowedTCPPorts)
    local stack = assert(profile.load())
    assert.same({ "db", "app" }, stack:plan().order)
    assert.same({ "atproto" }, stack:service("app").config.tags)
  end)

  it("tells what is missing or wrong", function()
    local got = orrery.mkDeploymentProfile { name = "mine",
      services = { a = { enable = false }, b = { exec = { "true" }, prot = 1 } } }.validate()
    assert.is_false(got.valid)
    assert.equal("Missing required services: a", got.errors[1])
    assert.matches("services.b.prot: unknown key", got.errors[2], 1, true)
  end)

  it("takes dependencies that mkDependency made", function()
    local edge = orrery.mkDependency { name = "db", service = { port = 5432 }, type = "optional" }
    local stack = assert(orrery.mkDeploymentProfile { name = "mine", services = {
      db = { type = "postgresql" }, app = { exec = { "true" }, dependencies = { edge } } } }.load())
    assert.equal("optional", stack:service("app").config.dependencies.db.type)
  end)
end)
