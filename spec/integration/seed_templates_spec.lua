--- The seed's functions over templates, over what a real Consul knows.
local support = require "support"
local consul = require "support.consul"
local formats = require "orrery.formats"
local orrery = require "orrery"
local peers = require "support.peers"
local readers = require "support.readers"

-- As the seed has it.
local TEXT = [[
PDS_HOSTNAME=${hostname}
PDS_PORT=${port}
PDS_DATABASE_URL=${service.database.url}
PDS_APPVIEW_URL=${service.appview.url}
]]

-- The same, for each format that has another way to write it.
local TEXTS = {
  env = TEXT,
  ini = "[pds]\n" .. TEXT,
  toml = TEXT:gsub("=%$%{(.-)%}", " = ${%1 | toml}"),
  yaml = TEXT:gsub("=%$%{(.-)%}", ": ${%1 | yaml}"),
  json = "{\n" .. TEXT:gsub("([%w_]+)=%$%{(.-)%}", '  "%1": ${%2 | json},'):gsub(",\n$", "\n")
    .. "}\n",
}

local VARIABLES = {
  hostname = { type = "string", required = true },
  port = { type = "number", default = 3000 },
}

local KEYS = { "PDS_HOSTNAME", "PDS_PORT", "PDS_DATABASE_URL", "PDS_APPVIEW_URL" }

local function template(format, body)
  return orrery.mkConfigTemplate { name = "pds", outputFormat = format, variables = VARIABLES,
    template = body or TEXTS[format] }
end

local server

local function put(service, id, fields)
  local record = { service = service, id = id, address = "10.0.0.1", port = 80 }
  for key, value in pairs(fields) do record[key] = value end
  local backend <close> = server:open()
  assert(backend:register(record, 600))
end

local function remove(service, id)
  local backend <close> = server:open()
  assert(backend:deregister(service, id))
end

setup(function()
  if not consul.program() then return end
  server = consul.start()
  put("database", "database@data", { port = 5432, scheme = "postgresql" })
  put("appview", "appview@index", { address = "10.0.0.2", port = 2584,
    did = "did:web:appview.example" })
end)

teardown(function() if server then server:stop() end end)

--- A test that gets what discovery knows from Consul.
local function from_consul(test)
  return function()
    local program, reason = consul.program()
    if not program then return pending(reason) end
    local discovery <close> = assert(orrery.discovery.open { backend = "consul",
      consulAddress = server.addresses[1] })
    test(discovery)
  end
end

describe("the seed's example, from what Consul knows", function()
  local EXPECTED = { PDS_HOSTNAME = "pds.example.com", PDS_PORT = 3000,
    PDS_DATABASE_URL = "postgresql://10.0.0.1:5432", PDS_APPVIEW_URL = "http://10.0.0.2:2584" }

  --- The value as the format has it: three of them know numbers.
  local function expected(format)
    local has_numbers = format ~= "env" and format ~= "ini"
    local result = {}
    for key, value in pairs(EXPECTED) do
      result[key] = has_numbers and value or tostring(value)
    end
    return format == "ini" and { pds = result } or result
  end

  for _, format in ipairs { "json", "yaml", "toml", "env", "ini" } do
    it("is rendered as " .. format, from_consul(function(discovery)
      local text = assert(orrery.processTemplateWithDiscovery(template(format),
        { hostname = "pds.example.com" }, discovery))
      assert.same(expected(format), (assert(formats.get(format).read(text))))
      for _, key in ipairs(KEYS) do assert.matches(key, text, 1, true) end
    end))

    it("is rendered as " .. format .. " from a table, too", from_consul(function(discovery)
      local body = {}
      for key, value in TEXT:gmatch "([%w_]+)=(%S+)" do body[key] = value end
      if format == "ini" then body = { pds = body } end
      local text = assert(orrery.processTemplateWithDiscovery(template(format, body),
        { hostname = "pds.example.com" }, discovery))
      assert.same(expected(format), (assert(formats.get(format).read(text))))
    end))
  end

  it("is read by other programs as it was meant", from_consul(function(discovery)
    for _, format in ipairs { "json", "yaml" } do
      local text = assert(orrery.processTemplateWithDiscovery(template(format),
        { hostname = "pds.example.com" }, discovery))
      assert.same(EXPECTED, (readers.python(format, text)))
    end
  end))

  it("says what is missing, and takes no absence for an empty text", from_consul(function(discovery)
    local text, message, code = orrery.processTemplateWithDiscovery(template "env",
      { port = "3000" }, discovery)
    assert.is_nil(text)
    assert.matches("Required variable 'hostname' is missing", message, 1, true)
    assert.matches("port must be a number, not a string", message, 1, true)
    assert.equal("invalid", code)
    local other = template("env", "A=${service.nobody.url}\n")
    text, message, code = orrery.processTemplateWithDiscovery(other,
      { hostname = "x" }, discovery)
    assert.same({ "nil", "pending" }, { tostring(text), code })
    assert.equal("pds:1:20: the url of 'nobody' is not known yet: no instance of it is "
      .. "registered\n  A=${service.nobody.url}\n"
      .. "                     ^", message)
  end))

  it("keeps what a discovered service says inside of its value", from_consul(function(discovery)
    local evil = "x\nEVIL=1\"'${hostname}%{ if true }$(id)`id`: [x]"
    put("evil", "evil@x", { tags = { evil }, meta = { motd = evil } })
    for _, format in ipairs { "json", "yaml", "toml", "env", "ini" } do
      local body = { TAG = "${service.evil.tags | first}", MOTD = "${service.evil.meta.motd}" }
      if format == "ini" then body = { pds = body } end
      local text = assert(orrery.processTemplateWithDiscovery(template(format, body),
        { hostname = "x" }, discovery))
      local value = assert(formats.get(format).read(text))
      assert.same({ TAG = evil, MOTD = evil }, format == "ini" and value.pds or value)
    end
    remove("evil", "evil@x")
  end))
end)

describe("variables", function()
  it("are values, never templates", function()
    local one = orrery.mkConfigTemplate { name = "x", outputFormat = "env",
      template = "A=${a | env}\n", variables = { a = {}, b = { secret = true, default = "s" } } }
    assert.equal('A="\\${b}"\n', (assert(one:processTemplate { a = "${b}" })))
    assert.equal('A="%{ if b }"\n', (assert(one:processTemplate { a = "%{ if b }" })))
  end)

  it("of type service name one that is discovered", function()
    local one = orrery.mkConfigTemplate { name = "x", outputFormat = "env",
      template = "A=${plc.url}\n%{ if redis ~}\nR=${redis.port}\n%{ endif ~}\n",
      variables = { plc = { type = "service", required = true }, redis = { type = "service" } } }
    local known = { directory = { address = "::1", port = 2582 } }
    local text = assert(one:processTemplate({ plc = "directory" }, known))
    assert.equal("A=http://[::1]:2582\n", text)
    assert.same({ valid = false, errors = { "Required variable 'plc' is missing" } },
      one:validateVariables {})
    known.redis = { { address = "h", port = "6379" } }
    assert.matches("R=6379", (one:processTemplate({ plc = "directory" }, known)))
  end)

  it("are no fields of a service: there is none", function()
    local one = orrery.mkConfigTemplate { name = "x", outputFormat = "env",
      template = "A=${hostname}\n" }
    assert.matches("'hostname' is not declared", select(2, one:processTemplate {}), 1, true)
  end)

  it("that are booleans are true and false in every format", function()
    for _, format in ipairs { "json", "yaml", "toml", "env", "ini" } do
      local body = { on = "${on}", off = "${off}" }
      local one = orrery.mkConfigTemplate { name = "x", outputFormat = format,
        template = format == "ini" and { s = body } or body,
        variables = { on = { type = "boolean" }, off = { type = "boolean" } } }
      local text = assert(one:processTemplate { on = true, off = false })
      assert.matches("on.*true", text:gsub("off.-false", ""))
      assert.matches("off.*false", text)
    end
  end)
end)

describe("mkConfigTemplate", function()
  it("has the seed's defaults, and refuses what is wrong at once", function()
    local one = orrery.mkConfigTemplate { name = "x", template = "{}" }
    assert.same({ "json", "", {}, {} }, { one.outputFormat, one.description, one.variables,
      one.validation })
    assert.has_error(function()
      orrery.mkConfigTemplate { name = "x", template = "", outputFormat = "xml" }
    end, "Invalid output format: xml. Supported: json yaml toml env ini")
    assert.error_matches(function()
      orrery.mkConfigTemplate { name = "x", template = "", variables = { a = { type = "strin" },
        b = { requird = true } } }
    end, "x%.variables%.a%.type: .*x%.variables%.b%.requird: unknown key; did you mean")
    assert.error_matches(function() orrery.mkConfigTemplate { nam = "x" } end,
      "there is no argument 'nam'; did you mean \"name\"")
  end)

  it("checks a text against its format", function()
    local one = orrery.mkConfigTemplate { name = "x", template = "{}" }
    assert.equal('{"a": 1}', (one:generateOutput '{"a": 1}'))
    local text, message, code = one:generateOutput '{"a": 1\n'
    assert.same({ "nil", "invalid" }, { tostring(text), code })
    assert.matches("^x:2: this is not valid json", message)
  end)
end)

describe("generateStackConfigs", function()
  local SERVICES = { pds = { variables = { hostname = "x" }, user = "atproto" } }
  local KNOWN = { database = { url = "postgresql://h/d" }, appview = { url = "https://a" } }

  it("gives <outputDir>/<service>.<format>, 0640", function()
    local files = assert(orrery.generateStackConfigs { services = SERVICES,
      templates = { pds = template "env" }, discoveredServices = KNOWN })
    local file = files["/etc/atproto/pds.env"]
    assert.same({ "0640", "atproto", "atproto", "env", false }, { file.mode, file.user,
      file.group, file.format, file.secret })
    assert.matches("PDS_DATABASE_URL=postgresql://h/d\n", file.text, 1, true)
    assert.is_nil(next(files, "/etc/atproto/pds.env"))
  end)

  it("writes them when told, and no other", function()
    local dir = support.tmp() .. "/etc"
    local user = orrery.process.user().name
    local services = { a = { variables = { hostname = "x" }, template = "pds", user = user } }
    local function generate()
      return orrery.generateStackConfigs { services = services, write = true, outputDir = dir,
        templates = { pds = template "env" }, discoveredServices = KNOWN }
    end
    assert(generate())
    local before = orrery.file.stat(dir .. "/a.env")
    assert.equal(416, before.mode & 511)
    assert(generate())
    assert.equal(before.inode, orrery.file.stat(dir .. "/a.env").inode)
    services.b = { template = "pds" }
    local files, message, code = generate()
    assert.same({ "nil", "invalid" }, { tostring(files), code })
    assert.equal("services.b: Required variable 'hostname' is missing", message)
    assert.is_false(support.exists(dir .. "/b.env"))
  end)

  it("says why a file cannot be written", function()
    local files, message, code = orrery.generateStackConfigs { services = SERVICES, write = true,
      outputDir = "/proc/none", templates = { pds = template "env" }, discoveredServices = KNOWN }
    assert.same({ "nil", "io" }, { tostring(files), code })
    assert.matches("^/proc/none/pds%.env: .*%a", message)
    assert.is_nil(message:find(": nil", 1, true))
  end)

  it("names each template that there is not", function()
    assert.error_matches(function()
      orrery.generateStackConfigs { services = { pds = {}, pdx = {} },
        templates = { pds = template "env" } }
    end, "services%.pdx: Template 'pdx' not found; did you mean \"pds\"")
  end)
end)

describe("mkConfigurationTemplating", function()
  it("keeps the files of services in step with Consul", from_consul(function()
    local dir = support.tmp()
    local user = orrery.process.user().name
    local files <close> = assert(orrery.mkConfigurationTemplating {
      services = { web = { user = user }, other = { user = user } }, outputDir = dir, wait = 0,
      templates = { web = { name = "web", outputFormat = "env", template = "LIST=%{ for i in "
        .. "services.worker }${i.port},%{ endfor }\n" },
        other = { name = "other", outputFormat = "env", template = "D=${service.later.did}\n" } },
      discovery = { backend = "consul", consulAddress = server.addresses[1] },
      reloadCommand = { "sh", "-c", 'echo "$0" >>"$1"', "reloaded", dir .. "/reloads" },
    })
    local function reach(name, text)
      support.wait_until(function()
        local path = dir .. "/" .. name
        return support.exists(path) and support.read(path) == text
      end, 20, name .. " to be " .. text)
    end
    local running = orrery.task.spawn(files.run, files)
    reach("web.env", "LIST=\n")
    put("worker", "worker@a", { port = 1 })
    reach("web.env", "LIST=1,\n")
    put("worker", "worker@b", { port = 2 })
    reach("web.env", "LIST=1,2,\n")
    remove("worker", "worker@a")
    reach("web.env", "LIST=2,\n")
    assert.is_false(support.exists(dir .. "/other.env"))
    put("later", "later@a", { did = "did:web:later.example" })
    reach("other.env", "D=did:web:later.example\n")
    reach("reloads", ("reloaded\n"):rep(5))
    files:close()
    assert.is_true(running:join(50))
  end))

  it("runs a reloadCommand that failed again, though nothing changes", function()
    local dir = support.tmp()
    local files <close> = assert(orrery.mkConfigurationTemplating {
      services = { web = { user = orrery.process.user().name } }, outputDir = dir, wait = 0,
      templates = { web = { name = "web", outputFormat = "env", template = "A=1\n" } },
      reloadCommand = { "sh", "-c", 'echo x >>"$0/tries"; test -e "$0/ok"', dir } })
    local changed, message, code = files:write()
    assert.is_nil(changed)
    assert.matches("^the reload command sh failed: exit code 1", message)
    assert.equal("failed", code)
    local running = orrery.task.spawn(files.run, files)
    support.wait_until(function() return #support.read(dir .. "/tries") >= 6 end, 20, "a third try")
    support.write(dir .. "/ok", "")
    support.wait_until(function() return files.failures == 0 end, 60, "its success")
    files:close()
    assert.is_true(running:join(50))
    assert.same({}, (assert(files:write())))
  end)

  it("renders again when a path changes, and says when it cannot watch one", function()
    local dir = support.tmp()
    local user = orrery.process.user().name
    support.write(dir .. "/watched", "1")
    local files <close> = assert(orrery.mkConfigurationTemplating {
      services = { web = { user = user } }, outputDir = dir .. "/out", wait = 0,
      templates = { web = { name = "web", outputFormat = "env", template = "A=1\n" } },
      watchPaths = { dir .. "/watched" } })
    local running = orrery.task.spawn(files.run, files)
    support.wait_until(function() return support.exists(dir .. "/out/web.env") end)
    os.remove(dir .. "/out/web.env")
    support.write(dir .. "/watched", "2")
    support.wait_until(function() return support.exists(dir .. "/out/web.env") end)
    files:close()
    assert.is_true(running:join(50))
    local other <close> = assert(orrery.mkConfigurationTemplating { services = {},
      watchPaths = { "/nowhere/at/all" } })
    local ok, message = other:run()
    assert.is_nil(ok)
    assert.matches("^watchPaths: /nowhere/at/all: ", message)
  end)
end)

describe("generateLoadBalancerConfig", function()
  local SERVICES = {
    pds = { port = 3000, healthEndpoint = "/xrpc/_health" },
    appview = { healthEndpoint = "/xrpc/_health", weight = 2, maxFails = 5, failTimeout = 10,
      instances = { { address = "10.0.0.1", port = 2584 }, { address = "fd00::2", port = 2584 } } },
  }

  it("has the seed's fields and defaults", function()
    local balance = assert(orrery.generateLoadBalancerConfig({}, SERVICES))
    assert.equal("round-robin", balance.strategy)
    assert.same({ enabled = true, interval = 30, timeout = 10 }, balance.healthCheck)
    assert.same({ name = "pds", healthEndpoint = "/xrpc/_health", weighted = false, servers = {
      { address = "127.0.0.1:3000", weight = 1, max_fails = 3, fail_timeout = "30s" } } },
      balance.upstream[2])
    assert.same({ { address = "10.0.0.1:2584", weight = 2, max_fails = 5, fail_timeout = "10s" },
      { address = "[fd00::2]:2584", weight = 2, max_fails = 5, fail_timeout = "10s" } },
      balance.upstream[1].servers)
  end)

  it("takes the instances that discovery gives, and their weights", from_consul(function(discovery)
    put("front", "front@a", { port = 1, meta = { weight = 3 } })
    put("front", "front@b", { port = 2 })
    local balance = assert(orrery.generateLoadBalancerConfig({},
      { front = assert(discovery:lookup "front") }))
    assert.same({ { "10.0.0.1:1", 3 }, { "10.0.0.1:2", 1 } },
      { { balance.upstream[1].servers[1].address, balance.upstream[1].servers[1].weight },
        { balance.upstream[1].servers[2].address, balance.upstream[1].servers[2].weight } })
    assert.matches("lb_policy weighted_round_robin 3 1", (balance:text "caddy"), 1, true)
  end))

  -- How each program is asked whether a file is right, and the file around ours.
  local PROGRAMS = {
    nginx = { { "-e", "stderr", "-t", "-c", "%s" },
      "pid %s.pid;\nevents {}\nhttp {\n access_log off;\n%s}\n" },
    haproxy = { { "-c", "-dW", "-f", "%s" },
      "# %s\ndefaults\n mode http\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n"
        .. "frontend f\n bind 127.0.0.1:8999\n default_backend pds\n%s" },
    caddy = { { "validate", "--adapter", "caddyfile", "--config", "%s" },
      "# %s\n%s\nhttp://localhost:8999 {\n\timport pds\n}\nhttp://localhost:8998 {\n"
        .. "\timport appview\n}\n" },
  }

  for program, how in pairs(PROGRAMS) do
    it("gives what " .. program .. " accepts, with every strategy", function()
      local path, reason = peers.find(program)
      if not path then return pending(reason) end
      local dir = support.tmp()
      for _, strategy in ipairs { "round-robin", "least-connections", "ip-hash", "random" } do
        local balance = assert(orrery.generateLoadBalancerConfig(
          { loadBalancing = { strategy = strategy } }, SERVICES))
        local file = dir .. "/" .. program
        support.write(file, how[2]:format(file, assert(balance:text(program))))
        local argv = { path }
        for i, word in ipairs(how[1]) do argv[i + 1] = word == "%s" and file or word end
        local code, out, err = support.run(argv, { timeout = 60, env = { HOME = dir,
          LD_LIBRARY_PATH = peers.library_folder(program) } })
        assert.equal(0, code, out .. err .. support.read(file))
      end
    end)
  end

  it("refuses what is wrong, and what would change the file", function()
    local balance, message = orrery.generateLoadBalancerConfig(
      { loadBalancing = { strategy = "round-robbin" } }, { pds = {} })
    assert.is_nil(balance)
    assert.equal("loadBalancing.strategy: there is no strategy 'round-robbin'; did you mean "
      .. '"round-robin"?\nservices.pds: instance 1 has no port', message)
    for _, fields in ipairs { { address = "x; include /etc/passwd" }, { failTimeout = "1s; evil" },
      { healthEndpoint = "/x\nserver evil 1.1.1.1:1" }, { address = "a b" } } do
      local service = { port = 80, healthEndpoint = "/" }
      for key, value in pairs(fields) do service[key] = value end
      balance = assert(orrery.generateLoadBalancerConfig({}, { pds = service }))
      for _, program in ipairs { "nginx", "haproxy", "caddy" } do
        local text = balance:text(program)
        for _, part in ipairs { "include", "evil", "a b" } do
          assert.is_nil(text and text:find(part, 1, true), text)
        end
      end
    end
  end)
end)
