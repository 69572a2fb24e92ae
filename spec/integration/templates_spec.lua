--- The templates that come with Orrery: each is rendered, and accepted by the program it is for.
local support = require "support"
local core = require "orrery.core"
local formats = require "orrery.formats"
local package_of = require "orrery.package"
local packages = require "support.packages"
local peers = require "support.peers"
local plugin = require "orrery.plugin"
local shipped = require "support.shipped"

local function rendered(name, options)
  local file, problems = shipped.render(name, options)
  return assert(file, problems and problems[1] and problems[1].message)
end

local function value_of(name, options)
  local file = rendered(name, options)
  local value, message = formats.get(shipped.uses[name].format).read(file.text)
  return assert(value, message), file
end

--- Writes a rendered file and runs a program on it, which must accept it. %s in argv is the file.
local function accepted(peer, program, argv, name, options)
  local path, reason = peers.find(peer, program)
  if not path then return pending(reason) end
  local dir = support.tmp()
  options = options or {}
  options.dir = dir
  assert(core.file.mkdir(dir .. "/data"))
  local file = rendered(name, options)
  support.write(dir .. "/" .. name, file.text)
  local words = { path }
  for i, word in ipairs(argv) do words[i + 1] = word == "%s" and dir .. "/" .. name or word end
  local code, out, err = support.run(words, { timeout = 60, env = { HOME = dir,
    LD_LIBRARY_PATH = peers.library_folder(peer) } })
  assert.equal(0, code, out .. err .. "\n" .. file.text)
  return file, words
end

describe("every shipped template", function()
  it("has a header and a line in the list of templates, and is rendered here", function()
    local list = support.read(plugin.root() .. "/templates/README.md")
    local seen = 0
    for _, item in ipairs(plugin.list "template") do
      if item.name ~= "README.md" and item.name ~= "packages" then
        seen = seen + 1
        assert.truthy(shipped.uses[item.name], item.name)
        assert.truthy(list:find("\n| `" .. item.name .. "` |", 1, true), item.name)
        assert.matches("Variables: ", support.read(item.path), 1, true)
        assert.truthy(rendered(item.name).text:find "\n$", item.name)
      end
    end
    assert.equal(seen, #require("orrery.suggest").names(shipped.uses))
  end)

  it("asks nobody for /health", function()
    for name in pairs(shipped.uses) do
      assert.is_nil(rendered(name).text:find "[ \"=]/health[\n\" ]", name)
    end
  end)
end)

describe("the env files", function()
  it("name what the services read", function()
    assert.same({ PORT = "4000", BIND_HOST = "127.0.0.1",
      DATABASE_URL = "postgresql://10.0.0.1:5432" }, (value_of "plc.env"))
    assert.equal("/srv/own/data", value_of("plc.env", { bare = true })
      .PLC_DATA_DIRECTORY)
    assert.same({ BSYNC_PORT = "4000", BSYNC_DB_POSTGRES_URL = "postgresql://10.0.0.1:5432",
      BSYNC_DB_POSTGRES_SCHEMA = "bsync", BSYNC_DB_MIGRATE = "true",
      BSYNC_API_KEYS = 'S3"CR$T' }, (value_of "bsync.env"))
    local feedgen = value_of "feedgen.env"
    assert.equal("ws://10.0.0.1:2470", feedgen.FEEDGEN_SUBSCRIPTION_ENDPOINT)
    assert.equal("did:web:own.example", feedgen.FEEDGEN_SERVICE_DID)
  end)

  it("are enough for the official PDS to configure itself", function()
    local stack = packages.stack()
    local folder = assert(package_of.ensure_named(stack, "pds"))
    local script = support.write(support.tmp() .. "/configure.cjs", [[
      const { envToCfg, envToSecrets, readEnv } = require("@atproto/pds");
      const config = envToCfg(readEnv()), secrets = envToSecrets(readEnv());
      console.log([config.service.port, config.service.hostname, config.identity.plcUrl,
        config.bskyAppView.did, config.crawlers[0], config.redis.address,
        secrets.adminPassword].join(" "))]])
    local env = value_of("pds.env", { domain = "pds.test" })
    env.PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX = ("1"):rep(64)
    local code, out, err = support.run({ "node", script },
      { env = packages.env(stack, folder, env), timeout = 60 })
    assert.equal(0, code, err)
    assert.equal('4000 pds.test http://10.0.0.1:2582 did:web:appview.example '
      .. 'http://10.0.0.1:2470 10.0.0.1:6379 S3"CR$T\n', out)
  end)

  it("have every dataplane in that of the AppView", function()
    local env, file = value_of "appview.env"
    assert.equal("http://10.0.0.1:2585,http://10.0.0.2:2585", env.BSKY_DATAPLANE_URLS)
    assert.same({ "did:web:ozone.example", "http://10.0.0.1:2586", "1.1" }, { env.MOD_SERVICE_DID,
      env.BSKY_BSYNC_URL, env.BSKY_BSYNC_HTTP_VERSION })
    assert.is_true(file.secret)
    assert.equal(384, file.mode)
  end)

  it("leave out what the stack has not", function()
    local env = value_of("ozone.env", { bare = true, without = { "pds" } })
    assert.same({}, { env.OZONE_PDS_URL, env.OZONE_PDS_DID, env.OZONE_ADMIN_DIDS })
    env = value_of "ozone.env"
    assert.equal("did:plc:a,did:plc:b", env.OZONE_ADMIN_DIDS)
    assert.equal("did:web:pds.example", env.OZONE_PDS_DID)
    env = value_of("relay.env", { without = { "database" } })
    assert.equal("sqlite:///srv/own/data/relay.sqlite", env.DATABASE_URL)
    assert.equal("false", env.RELAY_ALLOW_INSECURE_HOSTS)
    assert.equal("true", value_of("relay.env", { domain = "localhost" })
      .RELAY_ALLOW_INSECURE_HOSTS)
  end)

  it("write IPv6 addresses as URLs have them", function()
    local fields = { bind = "::1", address = "::1" }
    assert.equal("[::1]:4000", value_of("relay.env", { fields = fields }).RELAY_API_BIND)
    local records = { pds = { shipped.record("pds", 1, { address = "fd00::7" }) } }
    assert.matches("server pds%-1.edge %[fd00::7%]:3000",
      rendered("haproxy.cfg", { records = records }).text)
  end)
end)

describe("the files of neighbours", function()
  it("Caddyfile is accepted by Caddy", function()
    for _, domain in ipairs { "localhost", "pds.example.com" } do
      local file = accepted("caddy", "caddy", { "validate", "--adapter", "caddyfile", "--config",
        "%s" }, "Caddyfile", { domain = domain })
      if file then
        assert.matches("to 10.0.0.1:3000\n\t\tto 10.0.0.2:3000\n", file.text, 1, true)
        assert.equal(domain ~= "localhost", file.text:find("ask http://10.0.0.1:3000/tls-check", 1,
          true) ~= nil)
      end
    end
  end)

  it("nginx.conf is accepted by nginx", function()
    accepted("nginx", "nginx", { "-e", "stderr", "-t", "-c", "%s" }, "nginx.conf")
  end)

  it("nginx.conf with TLS is accepted by nginx", function()
    local dir = support.tmp()
    local code, _, err = support.run { "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
      "-subj", "/CN=x", "-days", "1", "-keyout", dir .. "/key.pem", "-out", dir .. "/cert.pem" }
    assert.equal(0, code, err)
    accepted("nginx", "nginx", { "-e", "stderr", "-t", "-c", "%s" }, "nginx.conf",
      { settings = { certificate = dir .. "/cert.pem", key = dir .. "/key.pem" } })
  end)

  it("haproxy.cfg is accepted by HAProxy, without a warning", function()
    local file = accepted("haproxy", "haproxy", { "-c", "-dW", "-f", "%s" }, "haproxy.cfg")
    if not file then return end
    assert.matches("  server pds-2.edge 10.0.0.2:3000\n", file.text, 1, true)
    assert.matches("option httpchk GET /xrpc/_health\n", file.text, 1, true)
  end)

  it("prometheus.yml is accepted by promtool", function()
    accepted("prometheus", "promtool", { "check", "config", "%s" }, "prometheus.yml")
    accepted("prometheus", "promtool", { "check", "config", "%s" }, "prometheus.yml",
      { settings = { jobs = {} } })
    local jobs = value_of("prometheus.yml").scrape_configs
    assert.same({ { "127.0.0.1:4000" }, "/metrics", { "10.0.0.2:3001" } },
      { jobs[1].static_configs[1].targets, jobs[2].metrics_path,
        jobs[2].static_configs[2].targets })
  end)

  it("consul.json is accepted by Consul", function()
    accepted("consul", "consul", { "validate", "%s" }, "consul.json")
    accepted("consul", "consul", { "validate", "%s" }, "consul.json", { settings = {
      server = true, servers = 3, encryptKey = "cg8StVXbQJ0gPvMd9o7yrg==" } })
    assert.same({ "10.0.0.1", "10.0.0.2" }, value_of("consul.json").retry_join)
  end)

  it("traefik.toml is TOML with what its file provider reads", function()
    local http = value_of("traefik.toml").http
    assert.same({ rule = "Host(`pds.example.com`)", entryPoints = { "websecure" },
      service = "pds" }, http.routers.pds)
    assert.same({ { url = "http://10.0.0.1:3000" }, { url = "http://10.0.0.2:3000" } },
      http.services.pds.loadBalancer.servers)
    assert.equal("/xrpc/_health", http.services.pds.loadBalancer.healthCheck.path)
  end)

  it("pgbouncer.ini is what PgBouncer starts with", function()
    local path, reason = peers.find("pgbouncer", "pgbouncer")
    if not path then return pending(reason) end
    local dir, port = support.tmp(), support.free_port()
    local file = rendered("pgbouncer.ini", { dir = dir, fields = { port = port },
      settings = { authFile = dir .. "/users" } })
    support.write(dir .. "/users", '"admin" "x"\n')
    support.write(dir .. "/pgbouncer.ini", file.text)
    assert(core.process.run { argv = { "chmod", "-R", "a+rX", dir } })
    local argv = { path, dir .. "/pgbouncer.ini" }
    if core.process.user().uid == 0 then table.move({ "-u", "nobody" }, 1, 2, 3, argv) end
    local server = assert(core.process.spawn { cwd = "/", argv = argv,
      log = { path = dir .. "/log" },
      env = { LD_LIBRARY_PATH = peers.library_folder "pgbouncer" } })
    local ok, problem = pcall(support.wait_until, function()
      return core.net.connect("127.0.0.1", port)
    end, 20, "PgBouncer to listen")
    server:signal "TERM"
    server:wait(50)
    assert(ok, tostring(problem) .. "\n" .. support.read(dir .. "/log"))
  end)
end)

-- ---- hostile values ----

--- What a text is made of: for each line its first word, how many words it has, and its signs.
local function shape_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]*" do
    local words = select(2, line:gsub("%S+", ""))
    lines[#lines + 1] = ("%s %d %s"):format(line:match "^%s*%S*", words,
      line:gsub("[^{}\"';#\\$`]", ""))
  end
  return table.concat(lines, "\n")
end

--- The paths of all that is in a value, without the values.
local function paths_of(value, at, found)
  found = found or {}
  if type(value) ~= "table" then
    found[#found + 1] = at .. ":" .. type(value)
    return found
  end
  for _, key in ipairs(require("orrery.template.values").keys(value)) do
    paths_of(value[key], at .. "/" .. tostring(key), found)
  end
  return found
end

local function structure_of(name, text)
  local format = shipped.uses[name].format
  if not format then return shape_of(text) end
  return table.concat(paths_of(assert(formats.get(format).read(text)), ""), "\n")
end

local HOSTILE = { "x\nEVIL=1", "x\r\nEVIL=1", "x; include /etc/passwd", "x } evil {", "a b",
  'x"\nevil: "1', "x' evil", "${name}", "%{ if true }x%{ endif }", "$(id)", "`id`", "x #y", "x: y",
  "[x]\ny=1", '"]\n[evil]\nx=["', "\\", "x\\\nEVIL=1", "\0", "\27[2J", "{{x}}", "{env.HOME}", "-x",
  "x,y", "!!python/object:x", "\u{2028}EVIL=1", "x\u{85}EVIL=1" }

local FIELDS = { "address", "id", "did", "scheme", "node", "status", "port" }

local function records_with(field, text)
  local records = {}
  for _, name in ipairs { "pds", "plc", "appview", "relay", "redis", "database", "dataplane",
    "bsync", "ozone", "consul" } do
    records[name] = { shipped.record(name, 1, { [field] = text, tags = { text },
      meta = { [text] = text } }), shipped.record(name, 2) }
  end
  return records
end

--- A rendering with hostile values is refused, or has what the ordinary one has: true then.
local function assert_unchanged(name, ordinary, stack, records, what)
  local file, problems = shipped.render_in(stack, records)
  if not file then return assert.is_true(#problems > 0) and false end
  assert.equal(structure_of(name, ordinary), structure_of(name, file.text), what)
  assert.is_nil(file.text:find "[\27%z]", what)
  return true
end

--- The strings that a stack may set; the name of the service behind is one of the stack's own.
local function free_variables(use)
  local names = {}
  for name, declared in pairs(use.variables) do
    if declared.type == "string" and not declared.secret and name ~= "upstream" then
      names[#names + 1] = name
    end
  end
  return names
end

describe("hostile values", function()
  for name, use in pairs(shipped.uses) do
    it("of discovered records add nothing to " .. name, function()
      local stack, ordinary = shipped.stack(name, {}), rendered(name).text
      for _, field in ipairs(FIELDS) do
        for _, text in ipairs(HOSTILE) do
          assert_unchanged(name, ordinary, stack, records_with(field, text),
            ("%s = %q"):format(field, text))
        end
      end
      assert.is_true(assert_unchanged(name, ordinary, stack,
        records_with("unheard", "x\nEVIL=1"), "tags and meta"))
    end)

    it("of variables add nothing to " .. name, function()
      for _, variable in ipairs(free_variables(use)) do
        local settings = { [variable] = "plain", certificate = "plain", key = "plain" }
        for other in pairs(settings) do
          if not use.variables[other] then settings[other] = nil end
        end
        local stack = shipped.stack(name, { settings = settings })
        local ordinary = assert(shipped.render_in(stack)).text
        for _, text in ipairs(HOSTILE) do
          stack.services.own.settings[variable] = text:gsub("([$%%]){", "%1%1{")
          assert_unchanged(name, ordinary, stack, nil, ("%s = %q"):format(variable, text))
        end
      end
    end)
  end
end)
