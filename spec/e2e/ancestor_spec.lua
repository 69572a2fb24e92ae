-- The faults of the earlier version of this design, by their numbers: each was seen there, and each
-- is shown here to be none of ours.
local core = require "orrery.core"
local formats = require "orrery.formats"
local graph = require("orrery.core").graph
local plan = require "orrery.plan"
local plugin = require "orrery.plugin"
local render = require "orrery.render"
local stack = require "orrery.stack"
local support = require "support"
local agents = require "support.agents"
local stacks = require "support.stacks"

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. " in:\n" .. text) end

local function position(list, wanted)
  for n, item in ipairs(list) do if item == wanted then return n end end
end

local function load(services) return stacks.good(support.tmp(), "return { services = {" .. services
  .. "} }") end

--- Renders the one file of the service `a`, whose further fields are given as Lua.
local function file_of(fields, others)
  local dir = support.tmp()
  local loaded, problems = stack.load(support.write(dir .. "/stack.lua", ("return { stateDir = %q, "
    .. "services = { a = { exec = { 'true' }, %s }, %s } }"):format(dir .. "/state", fields,
    others or "")))
  if not loaded then return nil, problems end
  local list
  list, problems = render.files(loaded, "a", { lookup = function() return {} end })
  return list and list[1].text, problems
end

local function template(text, more)
  return ("config = { file = { template = %q, %s } }"):format(text, more or "")
end

describe("fault 1: every dependency counted as healthy", function()
  it("a dependency that runs but does not answer starts nobody, and one that does does", function()
    local port = support.free_port()
    agents.with(agents.service("db", ("while ! [ -e go ]; do sleep 0.05; done; exec python3 -m "
        .. "http.server %d --bind 127.0.0.1"):format(port), ("port = %d, healthCheck = { strategy "
        .. "= 'tcp', interval = 0.2 }"):format(port))
      .. agents.service("web", "exec sleep 600", "dependencies = { 'db' }"), function(agent)
      agent:reach(function(i)
        return i.db.state == "starting" and i.db.pid and i.web.state == "waiting"
      end, "db to run without a listener")
      local code, out = agent:orrery("check", "db")
      assert.equal(1, code)
      has(out, "connection refused")
      support.write(agent.dir .. "/go", "")
      agent:reach(function(i) return i.web.state == "running" end, "web to run")
    end)
  end)
end)

describe("fault 2: ${service.x.y} never worked, and meant an empty text", function()
  it("stands for its value wherever it is in a text, as often as it is", function()
    local text = assert(file_of(template("u=${service.db.url}/x,${service.db.port}-"
      .. "${service.db.port}\n"), "db = { exec = { 'db' }, port = 5432, scheme = 'pg', "
      .. "url = 'pg://${address}:${port}' }"))
    assert.equal("u=pg://127.0.0.1:5432/x,5432-5432\n", text)
  end)

  it("of a service or field that is missing is an error with its place, never an empty text",
  function()
    local text, problems = file_of(template("a\nu=${service.dbb.url}\n"), "db = { exec = { 'x' } }")
    assert.is_nil(text)
    assert.same({ 2, 13 }, { problems[1].line, problems[1].column })
    has(problems[1].message, "there is no service 'dbb' in this stack; did you mean \"db\"?")
    text, problems = file_of(template("${service.db.prot}"), "db = { exec = { 'x' } }")
    assert.is_nil(text)
    has(problems[1].message, "'db' has no field 'prot'")
  end)

  it("that is not known yet holds the file back", function()
    local text, problems = file_of(template("${service.setup.did}"),
      "setup = { oneshot = true, exec = { 'x' } }")
    assert.is_nil(text)
    assert.is_true(render.is_pending(problems))
  end)
end)

describe("fault 3: formats that neither escaped nor kept what they were given", function()
  local HARD = { plain = "a", quoted = [[say "hi" \ it's]], lines = "a\nb: c\n- d",
    sign = "# no ; x", truth = "yes", number = "0640", empty = "" }

  it("what a format writes, it and a program of others read back the same", function()
    for _, name in ipairs { "json", "yaml", "toml", "ini", "env" } do
      local written = assert(assert(formats.get(name)).write(HARD))
      assert.same(HARD, assert(formats.get(name).read(written)), name)
    end
    local toml = support.write(support.tmp() .. "/x.toml", assert(formats.get("toml").write(HARD)))
    local code, out, err = support.run { "python3", "-c",
      "import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], 'rb'))))", toml }
    assert.equal(0, code, err)
    assert.same(HARD, core.json.decode(out))
  end)

  it("a line of an env file that is no NAME=value is an error with its line, and never dropped",
  function()
    local text, problems = file_of(template("A=1\nthis is no setting\n", "format = 'env'"))
    assert.is_nil(text)
    has(problems[1].message, "2")
    assert.equal("A=1\n# a comment\nB=2\n",
      (file_of(template("A=1\n# a comment\nB=2\n", "format = 'env'"))))
  end)

  it("a template that breaks its format never reaches the disk", function()
    for name, text in pairs { json = '{"a": }', yaml = "a: [", toml = "a = ", ini = "[a" } do
      local made, problems = file_of(template(text, ("format = %q"):format(name)))
      assert.is_nil(made, name)
      assert.is_true(#problems > 0 and not render.is_pending(problems), name)
    end
  end)
end)

describe("fault 4: types that nobody checked", function()
  it("true and false are written as such", function()
    assert.equal("true false", (file_of("variables = { yes = { type = 'boolean', default = true }, "
      .. "no = { type = 'boolean', default = false } }, " .. template("${yes} ${no}"))))
  end)

  it("every wrong type is told, all at once, with the service's place", function()
    local text = table.concat(stacks.problems_of(support.tmp(), [[return { services = { a = {
      exec = { "a" }, variables = { n = { type = "number" }, b = { type = "boolean" },
        l = { type = "array" }, o = { type = "object" }, s = { type = "string", required = true } },
      settings = { n = "many", b = 1, l = "x", o = { 1 } } } } }]]), "\n")
    has(text, "services.a.settings.n: expected a number, got a string")
    has(text, "services.a.settings.b: expected a boolean, got a number")
    has(text, "services.a.settings.l: expected an array, got a string")
    has(text, "services.a.settings.o: expected an object, got a list")
    has(text, "Required variable 's' is missing")
  end)
end)

describe("fault 5: /health as the path of everything", function()
  it("no check has a path unless one is given", function()
    has(stacks.only(support.tmp(), "return { services = { a = { " .. stacks.EXEC
      .. ", port = 3000, healthCheck = { strategy = 'http' } } } }"), "endpoint: is missing")
  end)

  it("the services that ship have the paths that the real ones answer", function()
    local found = stack.load("simple-pds").services
    assert.equal("/xrpc/_health", found.pds.healthChecks.ready.endpoint)
    assert.equal("/_health", found.plc.healthChecks.ready.endpoint)
    for _, item in ipairs(plugin.list("type")) do
      local text = support.read((plugin.find("type", item.name)))
      assert.is_nil(text:find("[\"']/health[\"']"), item.name)
    end
  end)
end)

describe("fault 6: an order with dependents first, and shared dependencies left out", function()
  it("dependencies come first, and what two share comes once", function()
    local built = assert(plan.build(load(
      [[pds = { type = "process", exec = { "a" }, dependencies = { "database", "plc" } },
      plc = { type = "process", exec = { "a" }, dependencies = { "database" } },
      appview = { type = "process", exec = { "a" }, dependencies = { "database", "pds" } },
      database = { type = "process", exec = { "a" } } ]])))
    assert.same({ "database", "plc", "pds", "appview" }, built.order)
    assert.same({ "appview", "pds", "plc", "database" }, built.stop)
  end)

  it("both directions mean the same everywhere: what is needed, and who needs it", function()
    local spec = { nodes = { "pds", "database" }, edges = { { from = "pds", to = "database" } } }
    assert.same({ "database", "pds" }, graph.needs(spec, { "pds" }))
    assert.same({ "database", "pds" }, graph.dependents(spec, { "database" }))
    assert.equal(1, position(graph.solve(spec).order, "database"))
  end)
end)

describe("fault 7: circular dependencies that threw", function()
  it("a circular edge starts both sides, for real", function()
    local both = "type = 'process', healthCheck = { strategy = 'file', path = 'DIR/%s', "
      .. "interval = 0.1 }, "
      .. "dependencies = { { name = %q, type = 'circular' } }"
    -- Each becomes healthy only when the other runs.
    agents.with(agents.service("ozone", "echo > DIR/o; exec sleep 600", both:format("p", "pds"))
      .. agents.service("pds", "echo > DIR/p; exec sleep 600", both:format("o", "ozone")),
    function(agent)
      agent:reach(function(i)
        return i.pds.health == "passing" and i.ozone.health == "passing"
          and #i.pds.flags + #i.ozone.flags == 0
      end, "both to be healthy")
    end)
  end)

  it("a cycle of required edges names its path and the edges to mark", function()
    local problem = stacks.only(support.tmp(), [[return { services = {
      pds = { type = "process", exec = { "a" }, dependencies = { "appview" } },
      appview = { type = "process", exec = { "a" }, dependencies = { "pds" } } } }]])
    has(problem, "Circular dependency detected: pds -> appview -> pds")
    has(problem, "the type circular")
  end)
end)

describe("fault 8: a wait that was no command, and looked at half of the types", function()
  it("wait --deps waits, ends in time, and tells what it waited for", function()
    agents.with(agents.service("db", "exec sleep 600", "healthCheck = { strategy = 'file', "
        .. "path = 'DIR/go', interval = 0.1 }")
      .. agents.service("labels", "exec sleep 600", "dependencies = { { name = 'web', "
        .. "type = 'circular' } }")
      .. agents.service("web", "exec sleep 600", "dependencies = { 'db', { name = 'labels', "
        .. "type = 'circular' } }"), function(agent)
      agent:reach(function(i) return i.web.state == "waiting" end, "web to wait")
      local code, _, err = agent:orrery("wait", "--deps", "web", "--timeout", "0.3")
      assert.equal(124, code)
      has(err, "db@")
      support.write(agent.dir .. "/go", "")
      assert.equal(0, (agent:orrery("wait", "--deps", "web", "--timeout", "20")))
      local _, json = agent:orrery("plan", "--json")
      has(json, '"circular"')
    end)
  end)
end)

describe("fault 9: a wait without a deadline, for a path that nobody serves", function()
  it("a dependent waits for the dependency's own check, at most for its time, and is told",
  function()
    local port = support.free_port()
    agents.with(agents.service("pds", ("mkdir -p DIR/www/xrpc; cd DIR/www; while ! [ -e ../go ]; "
        .. "do sleep 0.05; done; echo ok > xrpc/_health; exec python3 -B -m http.server "
        .. "%d --bind 127.0.0.1"):format(port), ("type = 'process', port = %d, "
        .. "healthEndpoint = '/xrpc/_health'"):format(port))
      .. agents.service("web", "exec sleep 600", "dependencies = { 'pds' }, "
        .. "dependencyTimeout = 0.5"), function(agent)
      agent:reach(function(i) return i.web.state == "blocked" end, "web to be blocked")
      support.write(agent.dir .. "/go", "")
      agent:reach(function(i) return i.web.state == "running" end, "web to run")
      local answer = assert(core.http.get(("http://127.0.0.1:%d/health"):format(port)))
      assert.equal(404, answer.status)
    end)
  end)

  it("a server that takes the connection and says nothing costs its timeout, no more", function()
    local listener = assert(core.process.spawn { argv = { "python3", "-c", "import socket, time\n"
      .. "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
      .. "time.sleep(600)" }, cwd = "/", instance = "spec/mute",
      log = { path = support.tmp() .. "/mute.log" } })
    local port = support.wait_until(function()
      return tonumber((listener:tail(1)[1] or ""):match("(%d+)$"))
    end)
    local verdict = core.check.run { strategy = "http", timeout = 0.5,
      url = ("http://127.0.0.1:%d/xrpc/_health"):format(port) }
    listener:kill()
    listener:wait(50)
    assert.is_false(verdict.ok)
    has(verdict.message, "0.5 s")
    assert.is_true(verdict.latency < 5)
  end)
end)

describe("fault 10: profiles that were wrong about the services", function()
  it("the PDS keeps its data in SQLite, and is told of no other database", function()
    local found = assert(stack.load("simple-pds"))
    assert.equal("sqlite", found.services.database.type)
    assert.is_true(found.services.database.embedded)
    assert.is_nil(found.services.pds.env.PDS_DATABASE_URL)
    assert.is_nil(support.read(support.root .. "/templates/pds.env"):find("DATABASE_URL", 1, true))
    assert.is_table(found.services.plc)
  end)

  it("no profile has two services on one port, or one that nothing here can run", function()
    for _, item in ipairs(plugin.list("profile")) do
      local found = assert(stack.load(item.name))
      local taken = {}
      for name, service in pairs(found.services) do
        assert.is_truthy(service.exec or service.external or service.embedded, name)
        local port = not service.external and service.port
        assert.is_nil(port and taken[port], ("%s: %s and %s"):format(item.name, name,
          port and taken[port]))
        if port then taken[port] = name end
      end
    end
  end)

  it("and a stack that has, is refused before anything starts", function()
    has(stacks.only(support.tmp(), "return { services = { one = { " .. stacks.EXEC
      .. ", port = 443 }, two = { " .. stacks.EXEC .. ", port = 443 } } }"),
      "443 is already used by services.one.port")
  end)
end)

describe("fault 11: strategies that ran nothing", function()
  for _, strategy in ipairs { "hub-spoke", "leader-follower", "peer-to-peer", "mesh" } do
    it(strategy .. " brings a stack up, in order, and down", function()
      local status = agents.with(agents.service("db", "exec sleep 600")
        .. agents.service("web", "exec sleep 600", "dependencies = { 'db' }"), function(agent)
        local i = agent:reach(function(found)
          return found.web.state == "running" and found.db.state == "running"
        end, "both to run")
        assert.is_true(support.procfs.alive(i.web.pid))
      end, ("coordination = { strategy = %q },"):format(strategy))
      assert.same({ code = 0 }, status)
    end)
  end
end)
