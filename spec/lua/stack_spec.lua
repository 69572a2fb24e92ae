local support = require "support"
local core = require "orrery.core"
local secret = require "orrery.secret"
local stack = require "orrery.stack"
local stacks = require "support.stacks"

local dir

before_each(function() dir = support.tmp() end)

local function load(...) return stacks.load(dir, ...) end
local function good(...) return stacks.good(dir, ...) end
local function problems_of(...) return stacks.problems_of(dir, ...) end
local function only(...) return stacks.only(dir, ...) end

local EXEC = stacks.EXEC

--- A stack with one service `a` and these fields.
local function one(fields)
  return "return { services = { a = { " .. EXEC .. ", " .. fields .. " } } }"
end

--- simple-pds with these fields of its PDS.
local function pds_with(fields)
  return "return { profile = 'simple-pds', services = { pds = { " .. fields .. " } } }"
end

describe("where a stack comes from", function()
  it("is the folder, with its name", function()
    support.write(dir .. "/stack.lua", "return { services = { a = { " .. EXEC .. " } } }")
    local loaded = assert(stack.load(dir))
    assert.equal(dir .. "/stack.lua", loaded.file)
    assert.equal(dir, loaded.dir)
    assert.matches("^orrery%-spec%-", loaded.name)
  end)

  it("is a profile by name", function()
    local loaded = assert(stack.load("simple-pds"))
    assert.equal("simple-pds", loaded.name)
    assert.equal("simple-pds", loaded.profile)
    assert.is_nil(loaded.file)
  end)

  it("says what is wrong with a target", function()
    local function message(target)
      local loaded, problems = stack.load(target)
      assert.is_nil(loaded)
      return problems[1].message
    end
    assert.matches("there is no such stack file", message(dir .. "/nothing.lua"))
    assert.matches("holds no stack.lua", message(dir), 1, true)
    assert.matches('did you mean "simple-pds"?', message("simple-pd"), 1, true)
    support.write(dir .. "/stack.lua", "return {}")
    support.write(dir .. "/stack.json", "{}")
    assert.matches("holds both stack.lua and stack.json", message(dir), 1, true)
    support.write(dir .. "/stack.txt", "x")
    assert.matches("is none of .lua, .yaml, .yml, .json", message(dir .. "/stack.txt"), 1, true)
  end)

  it("names its file and line when it cannot be read", function()
    local _, problems = load("return {\n  services = {\n")
    assert.equal(dir .. "/stack.lua", problems[1].file)
    assert.is_number(problems[1].line)
    _, problems = load("services:\n  pds: {port: 1\n", nil, "bad.yaml")
    assert.is_number(problems[1].line)
    _, problems = load('{"services": {,}}', nil, "bad.json")
    assert.equal(1, problems[1].line)
    assert.is_number(problems[1].column)
    assert.not_matches("^%d", problems[1].message)
    local at = ("%s/bad.json:1:%d: "):format(dir, problems[1].column)
    assert.matches(at, stack.format(problems), 1, true)
  end)

  it("reads without writing anything", function()
    local before = #core.file.list(dir)
    good("return { stateDir = 'state', services = { a = { " .. EXEC .. " } } }")
    assert.equal(before + 1, #core.file.list(dir))
  end)
end)

describe("simple-pds", function()
  it("is local by itself: its own PLC, no appview, no relay", function()
    local loaded = assert(stack.load("simple-pds"))
    assert.is_true(loaded.isLocal)
    local names = {}
    for name in pairs(loaded.services) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "database", "pds", "plc" }, names)
    assert.equal("sqlite", loaded.services.database.type)
    assert.is_true(loaded.services.database.embedded)
    assert.equal(2582, loaded.services.plc.port)
    assert.equal("required", loaded.services.pds.dependencies.plc.type)
  end)

  it("joins the public network where the domain is public", function()
    local loaded = assert(stack.load("simple-pds", { set = { domain = "pds.example.com" } }))
    assert.is_false(loaded.isLocal)
    local plc = loaded.services.plc
    assert.is_true(plc.external)
    assert.equal("https://plc.directory", plc.url)
    assert.equal("plc.directory", plc.address)
    assert.equal(443, plc.port)
    assert.equal("https", plc.scheme)
    assert.is_nil(plc.exec)
    assert.equal("soft", loaded.services.pds.dependencies.plc.type)
    assert.equal("did:web:api.bsky.app", loaded.services.appview.did)
  end)

  -- Real services answer on these paths and on no other; a profile that says /health is wrong.
  it("asks each service on the path that it really has", function()
    local services = assert(stack.load("simple-pds")).services
    assert.equal("/xrpc/_health", services.pds.healthChecks.ready.endpoint)
    assert.equal("/_health", services.plc.healthChecks.ready.endpoint)
    assert.equal("file", services.database.healthChecks.ready.strategy)
  end)

  -- The official PDS stores in SQLite: it has no variable for another database.
  it("does not make the PDS depend on PostgreSQL", function()
    local loaded = assert(stack.load("simple-pds"))
    assert.not_equal("postgresql", loaded.services.database.type)
    for name in pairs(loaded.services.pds.env) do assert.not_matches("DATABASE", name) end
  end)

  it("gives no two services the same port", function()
    local seen = {}
    for name, service in pairs(assert(stack.load("simple-pds")).services) do
      if service.port then
        assert.is_nil(seen[service.port], name)
        assert.is_true(service.port < 32768, "inside the ephemeral range")
        seen[service.port] = true
      end
    end
  end)

  it("keeps its secrets opaque", function()
    local loaded = assert(stack.load("simple-pds"))
    for _, name in ipairs { "jwtSecret", "adminPassword", "rotationKey" } do
      assert.is_true(secret.is(loaded.services.pds.settings[name]))
    end
  end)
end)

describe("merging", function()
  it("keeps the profile's dependencies when the stack adds one", function()
    local loaded = good [[return { profile = "simple-pds", services = {
      redis = { exec = {"redis-server"}, port = 6379 },
      pds = { port = 3001, dependencies = { { name = "redis", type = "optional" } } } } }]]
    local pds = loaded.services.pds
    assert.equal(3001, pds.port)
    assert.same({ database = { type = "required" }, plc = { type = "required" },
      redis = { type = "optional" } }, pds.dependencies)
    assert.equal("/xrpc/_health", pds.healthChecks.ready.endpoint)
  end)

  it("gives --set the last word, in the type that the key wants", function()
    local loaded = assert(stack.load("simple-pds", { set = {
      ["services.pds.port"] = "3005", ["services.pds.settings.inviteRequired"] = "false",
      ['services.pds.config["pds.env"].mode'] = "0600", ["coordination.dependencyTimeout"] = "5",
    } }))
    local pds = loaded.services.pds
    assert.equal(3005, pds.port)
    assert.is_false(pds.settings.inviteRequired)
    assert.equal(384, pds.config["pds.env"].mode)
    assert.equal(5, pds.dependencyTimeout)
    assert.equal("--set", loaded.origin["services.pds.port"])
  end)

  it("reads lists and tables that --set gives as JSON", function()
    local loaded = good(one "variables = { v = { type = 'array' } }", { set = {
      ["services.a.tags"] = '["x", "y"]', ["services.a.settings.v"] = "[1]",
      ["services.a.meta"] = '{"k": "v"}' } })
    assert.same({ "x", "y" }, loaded.services.a.tags)
    assert.same({ 1 }, loaded.services.a.settings.v)
    assert.same({ k = "v" }, loaded.services.a.meta)
  end)

  it("tells where each value comes from", function()
    local loaded = good [[return { profile = "simple-pds", services = { pds = { port = 3001 } } }]]
    local origin = loaded.origin
    assert.equal(dir .. "/stack.lua", origin["services.pds.port"])
    assert.matches("types/pds.lua$", origin["services.pds.exec"])
    assert.matches("profiles/simple%-pds.lua$", origin["services.database.type"])
    assert.equal("default", origin["services.pds.replicas"])
  end)

  it("replaces lists, and merges maps", function()
    local loaded = good [[return { services = {
      database = { type = "postgresql", exec = {"true"}, env = { EXTRA = "1" } } } }]]
    local database = loaded.services.database
    assert.same({ "true" }, database.exec)
    assert.equal("1", database.env.EXTRA)
    assert.equal("${user}", database.env.PGUSER)
  end)

  it("drops the keys of a check that is replaced by one of another strategy", function()
    local loaded = good [[return { profile = "simple-pds",
      services = { pds = { healthCheck = { strategy = "tcp", interval = 3 } } } }]]
    local ready = loaded.services.pds.healthChecks.ready
    assert.equal("tcp", ready.strategy)
    assert.is_nil(ready.endpoint)
    assert.equal(3, ready.interval)
  end)

  it("removes what is not enabled", function()
    local loaded = good [[return { profile = "simple-pds", services = {
      database = { enable = false },
      pds = { dependencies = { database = { enable = false } },
        healthChecks = { deep = { enable = false } } } } }]]
    assert.is_nil(loaded.services.database)
    assert.is_nil(loaded.services.pds.dependencies.database)
    assert.is_nil(loaded.services.pds.healthChecks.deep)
  end)

  it("takes a service with nothing in it, by its name", function()
    assert.equal("plc", good("services:\n  plc:\n", nil, "x.yaml").services.plc.type)
    assert.equal("plc", good("return { services = { plc = {} } }").services.plc.type)
  end)
end)

describe("a stack in three languages", function()
  local LUA = [[return { profile = "custom", domain = "dev.local", services = {
    database = { type = "postgresql", settings = { databases = { "feeds" },
      password = secret{ file = "/run/secrets/db" } } },
    plc = {}, pds = { port = 3000, dependencies = { "plc" } },
    feeds = { type = "process", exec = { "./feeds", "--config", "${dir.config}/feeds.yaml" },
      port = 8081, healthEndpoint = "/healthz", dependencies = { "pds", "database" },
      variables = { batch = { type = "number", default = 100 } },
      config = { ["feeds.yaml"] = { format = "yaml", template = "batch: ${batch}\n" } } } } }]]
  local YAML = [[
profile: custom
domain: dev.local
services:
  database: {type: postgresql,
    settings: {databases: [feeds], password: {secret: {file: /run/secrets/db}}}}
  plc: {}
  pds: {port: 3000, dependencies: [plc]}
  feeds:
    type: process
    exec: [./feeds, --config, "${dir.config}/feeds.yaml"]
    port: 8081
    healthEndpoint: /healthz
    dependencies: [pds, database]
    variables: {batch: {type: number, default: 100}}
    config:
      feeds.yaml:
        format: yaml
        template: |
          batch: ${batch}
]]
  local JSON = [[{"profile": "custom", "domain": "dev.local", "services": {
    "database": {"type": "postgresql", "settings": {"databases": ["feeds"],
      "password": {"secret": {"file": "/run/secrets/db"}}}},
    "plc": {}, "pds": {"port": 3000, "dependencies": ["plc"]},
    "feeds": {"type": "process", "exec": ["./feeds", "--config", "${dir.config}/feeds.yaml"],
      "port": 8081, "healthEndpoint": "/healthz", "dependencies": ["pds", "database"],
      "variables": {"batch": {"type": "number", "default": 100}},
      "config": {"feeds.yaml": {"format": "yaml", "template": "batch: ${batch}\n"}}}}}]]

  local function comparable(loaded)
    loaded.origin, loaded.file = nil, nil
    local password = loaded.services.database.settings.password
    assert.same({ source = "file", from = "/run/secrets/db" }, secret.describe(password))
    loaded.services.database.settings.password = "one secret"
    return secret.redact(loaded)
  end

  it("is the same stack", function()
    local lua = comparable(good(LUA, nil, "stack.lua"))
    os.remove(dir .. "/stack.lua")
    local yaml = comparable(good(YAML, nil, "stack.yaml"))
    os.remove(dir .. "/stack.yaml")
    local json = comparable(good(JSON, nil, "stack.json"))
    assert.same(lua, yaml)
    assert.same(lua, json)
    assert.equal("required", lua.services.feeds.dependencies.pds.type)
  end)
end)

describe("values from the environment", function()
  it("are read as the key wants them", function()
    local home = os.getenv("PATH")
    local loaded = good [[return { services = { a = { exec = {"true"}, env = {
      A = {env = "PATH"}, B = env("PATH"), C = "x:" .. env("PATH") },
      port = {env = "ORRERY_SPEC_UNSET", default = 8080} } } }]]
    assert.same({ A = home, B = home, C = "x:" .. home }, loaded.services.a.env)
    assert.equal(8080, loaded.services.a.port)
  end)

  it("are never silently missing", function()
    assert.matches("services.a.port: the environment variable ORRERY_UNSET is not set; set it, or",
      only(one "port = {env = 'ORRERY_UNSET'}"), 1, true)
    local _, problems = problems_of("\nreturn { domain = env('ORRERY_UNSET') }")
    assert.equal(2, problems[1].line)
    assert.matches("ORRERY_UNSET is not set", problems[1].message)
  end)
end)

describe("bad input", function()
  it("is all reported at once, each with its path", function()
    local lines = problems_of [[return { profile = "simple-pds", servics = {}, services = {
      pds = { prot = 1, port = "x",
        dependencies = { { name = "plc", type = "requird" }, "databse" } },
      b = { type = "postgres" } } }]]
    local text = "\n" .. table.concat(lines, "\n") .. "\n"
    for _, line in ipairs {
      'servics: unknown key; did you mean "services"?',
      'services.pds.prot: unknown key; did you mean "port"?',
      'services.pds.port: expected a number or "auto", got a string',
      'services.pds.dependencies.plc.type: "requird" is not one of required, optional, soft, ' ..
        'circular; did you mean "required"?',
      'services.pds.dependencies.databse: there is no service "databse"; did you mean ' ..
        '"database"? (there is: b, database, plc)',
    } do assert.matches("\n" .. line .. "\n", text, 1, true) end
    assert.matches('services.b.type: there is no type "postgres"', text, 1, true)
    assert.equal(6, #lines)
  end)

  it("is shown with its file, one line each", function()
    local _, problems = problems_of("return { services = { a = { exec = 'x', port = 0 } } }")
    assert.equal(dir .. "/stack.lua:\n" ..
      "  services.a.exec: expected a list, got a string\n" ..
      "  services.a.port: 0 is not from 1 to 65535", stack.format(problems))
  end)

  it("a profile that does not exist", function()
    assert.matches('^profile: there is no profile "simple%-pd"; did you mean "simple%-pds"?',
      only "return { profile = 'simple-pd' }")
  end)

  it("a wrong type of any key", function()
    local function wrong(fields) return only(one(fields)) end
    assert.equal('services.a.port: expected a number or "auto", got true or false',
      (wrong("port = true"):gsub("got a boolean", "got true or false")))
    assert.equal("services.a.tags[2]: expected a string, got a number", wrong("tags = {'x', 2}"))
    assert.equal("services.a.oneshot: expected true or false, got a string",
      wrong("oneshot = 'yes'"))
    assert.equal("services.a.replicas: expected a whole number, got a number",
      wrong("replicas = 1.5"))
    assert.equal("services.a.env: expected a table of names, got a list", wrong("env = {'A=1'}"))
    assert.equal("services.a.meta.x: expected a string, got a function",
      wrong("meta = {x = function() end}"))
    assert.equal("services.a.dependencyTimeout: 0 is not above 0", wrong("dependencyTimeout = 0"))
    assert.equal('services.a.umask: expected octal text such as "0640", got a number',
      wrong("umask = 27"))
  end)

  it("a wait whose most is below its least", function()
    local path = 'services.a.config["x.txt"].wait'
    local function wrong(wait)
      return only(one("config = { ['x.txt'] = { template = 'x', wait = " .. wait .. " } }"))
    end
    assert.equal(path .. "[2]: 1 is below the 5 before it", wrong "{5, 1}")
    assert.equal(path .. ": has 3 items, and at most 2 are known", wrong "{1, 2, 3}")
    local loaded = good(one("config = { ['x.txt'] = { template = 'x', wait = {2, 2} } }"))
    assert.same({ 2, 2 }, loaded.services.a.config["x.txt"].wait)
  end)

  it("a port used twice, also by a copy or a second port", function()
    assert.equal("services.b.port: 8000 is already used by services.a.port; give one of " ..
      "them another port",
      only(one "port = 8000 }, b = { exec = {'x'}, port = 8000"))
    assert.matches("services.b.ports.admin: 8001 is already used by services.a.port (its copy 2)",
      only [[return { services = { a = { exec = {'x'}, port = 8000, replicas = 2 },
        b = { exec = {'x'}, ports = { admin = 8001 } } } }]], 1, true)
    assert.matches("copy 2 of 2 would need port 65536",
      only(one "port = 65535, replicas = 2"))
    good [[return { services = { a = { exec = {'x'}, port = 8000 },
      b = { exec = {'x'}, port = 8000, bind = '127.0.0.2' } } }]]
    assert.matches("already used", only [[return { services = { a = { exec = {'x'}, port = 8000 },
      b = { exec = {'x'}, port = 8000, bind = '0.0.0.0' } } }]])
  end)

  it("a cycle, with the path and the remedy", function()
    local line = only [[return { services = {
      pds = { type = "process", exec = {"x"}, dependencies = {"appview"} },
      appview = { exec = {"x"}, dependencies = {"pds"} } } }]]
    assert.matches("Circular dependency detected: pds -> appview -> pds; break it by giving", line,
      1, true)
  end)

  it("no cycle where an edge is circular", function()
    good [[return { services = {
      pds = { type = "process", exec = {"x"}, dependencies = {"appview"} },
      appview = { exec = {"x"}, dependencies = {{name = "pds", type = "circular"}} } } }]]
  end)

  it("a dependency on itself, or on what is switched off", function()
    assert.equal("services.a.dependencies.a: a service cannot depend on itself",
      only(one "dependencies = {'a'}"))
    assert.matches("services.pds.dependencies.database: is required, but services.database is",
      only "return { profile = 'simple-pds', services = { database = { enable = false } } }", 1,
        true)
  end)

  it("a process with nothing to run", function()
    assert.matches('services.posgresql.exec: is missing: .*; did you mean "postgresql"?',
      only "return { services = { posgresql = {} } }")
  end)

  it("an external service that is nowhere", function()
    assert.equal("services.relay.url: an external service needs its url, or an address and a port",
      only "return { services = { relay = { external = true } } }")
  end)

  -- A default such as /health is a path that most services do not have.
  it("an http check without a path", function()
    assert.equal("services.a.healthChecks.ready.endpoint: is missing: a check by http needs it",
      only(one "port = 80, healthCheck = { strategy = 'http' }"))
  end)

  it("a systemd check without a unit, or with a state that no unit has", function()
    assert.equal("services.a.healthChecks.ready.unit: is missing: a check by systemd needs it",
      only(one "healthCheck = { strategy = 'systemd' }"))
    assert.matches("^services.a.healthCheck.unit: .* the name of a unit, such as nginx",
      only(one "healthCheck = { strategy = 'systemd', unit = 'a b' }"))
    assert.matches("^services.a.healthCheck.expectedState",
      only(one "healthCheck = { strategy = 'systemd', unit = 'x', expectedState = 'up' }"))
    good(one "healthCheck = { strategy = 'systemd', unit = '${name}', expectedState = 'failed' }")
    good(one "healthCheck = { strategy = 'systemd', unit = 'x', expectedState = {'active'} }")
  end)

  it("a check's key that belongs to another strategy", function()
    assert.equal("services.a.healthChecks.ready.send: is for tcp checks; this one is http",
      only [[return { services = { a = { exec = {'x'}, port = 80,
        healthCheck = { strategy = 'http', endpoint = '/', send = 'x' } } } }]])
  end)

  it("a discovery backend that there is not, or the key of another", function()
    local function with(discovery)
      return "return { discovery = { " .. discovery .. " }, services = { a = { exec = {'x'} } } }"
    end
    assert.equal('discovery.backend: "consull" is not one of consul, etcd, dns, file, env, nor a '
      .. 'file of backends/; did you mean "consul"?', only(with "backend = 'consull'"))
    assert.matches('^discovery.backend: there is no backend at ".*/x.lua"',
      only(with "backend = './x.lua'"))
    assert.matches("^discovery.fallback%[2%]: .* is named twice",
      only(with "backend = 'etcd', fallback = {'file', 'etcd'}"))
    assert.equal('discovery.consulAddress: is for the backend consul, and backend is "file"; '
      .. 'leave it out, or set backend = "consul"', only(with "consulAddress = 'x:1'"))
    assert.matches("^discovery.options: are for a backend of backends/",
      only(with "options = { a = 1 }"))
    assert.matches("^discovery.consulAdress: unknown key; did you mean",
      only(with "consulAdress = 1"))
    local loaded = good(with [[backend = 'consul', consulToken = secret{file = 't'}, filePath = 'f',
      consulAddress = {'a:1', 'b:1'}, fallback = {'file'} ]])
    assert.same({ "a:1", "b:1" }, loaded.discovery.consulAddress)
    assert.is_nil(loaded.discovery.etcdEndpoints, "only what is used has defaults")
    loaded = good(with "backend = 'etcd', etcdPassword = 'hush'")
    assert.equal("***", tostring(loaded.discovery.etcdPassword))
    assert.equal("hush", require("orrery.secret").reveal(loaded.discovery.etcdPassword))
  end)

  it("what a later version will know", function()
    assert.matches("^agent: is not supported yet",
      only "return { agent = { listen = 'x' }, services = { a = { exec = {'x'} } } }")
    assert.matches("nodes: several nodes %(a, b%) are not supported yet",
      only "return { nodes = { a = {}, b = {} }, services = { a = { exec = {'x'} } } }",
        { node = "a" })
    assert.matches("%.options: is for checks in Lua; this one is tcp",
      (problems_of(one "healthCheck = { strategy = 'tcp', options = {} }"))[1])
  end)

  it("names that are not names", function()
    assert.matches("use lower%-case letters", only "return { services = { A = { exec = {'x'} } } }")
    assert.matches("use 1 to 32",
      only "return { name = 'No', services = { a = { exec = {'x'} } } }")
    assert.matches('services%.a%.config%["%.%./x"%]: .*is not a valid name',
      only(one "config = { ['../x'] = { template = '' } }"))
  end)

  it("a stack or a machine whose name would be another's folder", function()
    assert.matches("^name: .*choose another name", only("return { name = 'packages', services = " ..
      "{ a = { exec = {'x'} } } }"))
    local line = only(one "port = 1", { node = "../x" })
    assert.matches('nodes: this machine is called "../x"', line, 1, true)
  end)

  it("a required variable that is missing", function()
    assert.matches("Required variable 'plc' is missing", only "return { services = { pds = {} } }",
      1, true)
    assert.matches("Required variable 'key' is missing",
      only(one "variables = { key = { required = true } }"), 1, true)
  end)

  it("a template or a format that does not exist", function()
    assert.matches('%["x.env"%].source: there is no template "pds.en"; did you mean "pds.env"',
      only(one "config = { ['x.env'] = { source = 'pds.en' } }"))
    assert.matches('config.x.format: there is no format "jsn"; did you mean "json"',
      only(one "config = { x = { template = '', format = 'jsn' } }"))
    assert.matches("config.x.format: the format 'env' has no style 'dokker'; it has docker, sh",
      only(one "config = { x = { template = '', format = 'env:dokker' } }"))
    assert.matches("variables.did.pattern: cannot be used: a '%(' without '%)'",
      only(one "variables = { did = { type = 'string', pattern = '(did' } }"))
    assert.matches("config.x: give exactly one of template, source, data",
      only(one "config = { x = { format = 'json' } }"))
  end)

  it("a setting that nobody declared, or of the wrong type", function()
    assert.matches('inviteRequird: no variable of this name is declared; did you mean "invite',
      only(pds_with "settings = { inviteRequird = true }"), 1, true)
    assert.equal("services.pds.settings.inviteRequired: expected a boolean, got a string",
      only(pds_with "settings = { inviteRequired = 'no' }"))
    assert.matches('settings.redis: there is no service "rediss"',
      only(pds_with "settings = { redis = 'rediss' }"), 1, true)
  end)

  it("a secret in a command line", function()
    assert.matches("services.a.exec[2]: a secret may not be part of a command line",
      only "return { services = { a = { exec = {'x', secret{env = 'X'}} } } }", 1, true)
    assert.matches("services.a.exec[2]: a secret may not be part of a command line",
      only("services: {a: {exec: [x, {secret: {env: X}}]}}", nil, "x.yaml"), 1, true)
    assert.matches("${key} is a secret",
      only [[return { services = { a = { exec = {'x', '--key=${ key }'},
      variables = { key = { secret = true, generate = 'hex:8' } } } } }]], 1, true)
  end)

  it("a secret where none can be", function()
    assert.equal("services.a.hostname: expected a string, got a secret",
      only(one "hostname = secret{env = 'X'}"))
    assert.matches("services.a.env.K: secret: give exactly one of file, env, command, generate",
      only("services: {a: {exec: [x], env: {K: {secret: {}}}}}", nil, "x.yaml"), 1, true)
  end)

  it("tables that never end", function()
    assert.matches("nested more than 32 deep",
      only [[local t = {} t.t = t return { services = { a = { exec = {'x'},
        variables = { v = { type = 'object' } }, settings = { v = t } } } }]])
    local lines = problems_of [[local t = {} for i = 1, 25 do t = { a = t, b = t } end
      return { settings = { t = t }, services = { a = { exec = {'x'} } } }]]
    assert.matches("more than 200000 values", lines[1])
  end)

  it("a --set that leads nowhere", function()
    local lines = problems_of("return { services = { a = { exec = {'x'} } } }",
      { set = { ["services.a.prot"] = "1", ["..x"] = "1" } })
    table.sort(lines)
    assert.matches("^%.%.x: is not the path of a value", lines[1])
    assert.matches('^services.a.prot: unknown key; did you mean "port"?', lines[2])
  end)

  it("a script with file and line, when the profile is the culprit", function()
    core.file.mkdir(dir .. "/profiles", 493)
    support.write(dir .. "/profiles/mine.lua",
      "return function(stack)\n  return stack.no.thing\nend")
    local _, problems = problems_of("return { profile = 'mine' }")
    assert.matches("profiles/mine.lua", problems[1].file)
    assert.matches("attempt to index a nil value", problems[1].message)
    assert.equal(2, problems[1].line)
  end)
end)

describe("any wrong value at any key", function()
  local schema = require "orrery.schema"
  local validate = require "orrery.validate"
  local weird = { "", "x", "${", "-1", 0, -1, 1.5, 1e308, 0 / 0, math.maxinteger, true, {}, { "x" },
    { {} }, { x = {} }, { "x", y = 1 }, { [1.5] = 1 }, { [true] = 1 }, { secret = {} },
    { secret = { env = "X" } }, { env = "PATH" }, { env = {} }, { env = "ORRERY_UNSET" },
    { enable = false }, { name = "x" }, { { name = 1 } }, { { name = "x" }, { name = "x" } },
    core.json.null, secret.of("x"), function() end, ("x"):rep(70000) }

  --- Calls visit(put) for each key of the schema; put(value) gives a stack with it there.
  local function each(node, wrap, visit, depth)
    visit(wrap)
    if depth == 0 then return end
    for key, field in pairs(node.fields or {}) do
      each(field, function(value) return wrap({ [key] = value }) end, visit, depth - 1)
    end
    if node.type == "map" then
      each(node.of, function(value) return wrap({ x = value }) end, visit, depth - 1)
    end
  end

  it("is a problem or is taken, and never an error of ours", function()
    local count = 0
    each(schema.stack, function(value) return value end, function(wrap)
      for _, value in ipairs(weird) do
        local ok, message = pcall(validate.layer, wrap(value), { file = "x" })
        assert.is_true(ok, message)
        count = count + 1
      end
    end, 6)
    assert.is_true(count > 2000)
  end)

  it("is a problem or is taken by the whole of load()", function()
    local path, count = support.write(dir .. "/stack.json", "{}"), 0
    each(schema.service, function(value) return value end, function(wrap)
      for _, value in ipairs(weird) do
        local ok, text = pcall(core.json.encode, { services = { plc = {}, pds = wrap(value) } })
        if ok and text then
          support.write(path, text)
          local fine, message = pcall(stack.load, path)
          assert.is_true(fine, message)
          count = count + 1
        end
      end
    end, 1)
    assert.is_true(count > 500)
  end)
end)
