local support = require "support"
local orrery = require "orrery"
local discovery, file, task, time = orrery.discovery, orrery.file, orrery.task, orrery.time
local fails, record, ids = support.fails, support.record, support.ids

local PREFIX = "ATPROTO_SERVICE_"

local function open(path, prefix)
  return assert(discovery.open("env", { envFile = path, envPrefix = prefix }))
end

--- What a shell that sources the file has in its environment: {name = value}.
local function sourced(path, prefix)
  local script = 'set -a; . "$1"; exec env -0'
  local code, out, err = support.run({ "sh", "-eu", "-c", script, "sh", path })
  assert.equal(0, code, err)
  local env = {}
  for name, value in out:gmatch("([^=%z]+)=([^%z]*)%z") do
    if name:sub(1, #prefix) == prefix then env[name] = value end
  end
  return env
end

--- What a process with these variables finds, by a backend that has no file.
local function found_by_child(env, services)
  local given = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH",
    LD_PRELOAD = os.getenv "LD_PRELOAD", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS" }
  for name, value in pairs(env) do given[name] = value end
  local code, out, err = support.run({ "lua5.4", "-e", [[
    local orrery = require "orrery"
    local backend = assert(orrery.discovery.open("env", {}))
    local found = {services = assert(backend:services()), records = {}}
    for _, name in ipairs(found.services) do
      found.records[name] = assert(backend:lookup(name))
    end
    backend:close()
    io.write(orrery.json.encode(found))]] }, { env = given })
  assert.equal(0, code, err)
  local found = orrery.json.decode(out)
  assert.same(services, found.services)
  return found.records
end

local TEXTS = { "plain", "", " lead", "trail ", "a b", "it's", 'say "hi"', "$HOME", "`id`", "$(id)",
  "a=b", "a\nb", "\n", "\\", "\\n", "a\\", "tab\t", "\r", "é\u{1F600}", "#no", "a;b|c&d", "*", "~",
  "!x", "\1\127", "%d", "{a,b}", ",", "a,b", ",,", "\\e", "e", ("x"):rep(4000) }
local NAMES = { "pds", "feed-gen", "pds.eu", "pds-2", "pds-2.x", "a--b", "a-", "a..b", "a-.b",
  "PDS", "x2E", "meta", "a-meta", "a.meta.b", "a-meta-url", "pds-url", "pds_url", "9", "a-9",
  "a.9" }
local KEYS = { "zone", "max_age", "max-age", "Zone", "a.b", "", "é", "META", "meta_x", "_", "9",
  "x41", "url", "=", "a b" }

local function pick(list) return list[math.random(#list)] end

local function short(text) return #text > 128 and "x" or text end

local function random_record(service, n)
  local r = { service = service, id = pick { "pds@edge", "a:b%c", "x" } .. n,
    address = pick { "127.0.0.1", "::1", "fe80::1%eth0", "host.example" }, status = "passing",
    tags = orrery.json.array(), meta = {} }
  if math.random(2) == 1 then r.port = math.random(65535) end
  if math.random(2) == 1 then r.scheme = pick { "http", "https", "postgresql+x" } end
  if math.random(2) == 1 then r.did = "did:web:example.com%3A8080" end
  if math.random(2) == 1 then r.node = pick { "edge", "n-1" } end
  if math.random(4) == 1 then r.status = "failing" end
  for i = 1, math.random(0, 4) do r.tags[i] = short(pick(TEXTS)) end
  for _ = 1, math.random(0, 5) do r.meta[pick(KEYS)] = pick(TEXTS) end
  return r
end

--- {service = records}, in the order of their ids, as a lookup gives them.
local function random_records(seed)
  math.randomseed(seed)
  local all, list, services = {}, {}, {}
  for _, service in ipairs(NAMES) do
    if math.random(3) == 1 then
      all[service] = {}
      services[#services + 1] = service
      for n = 1, math.random(3) do
        local r = random_record(service, n)
        table.insert(all[service], r)
        list[#list + 1] = r
      end
      table.sort(all[service], function(a, b) return a.id < b.id end)
    end
  end
  table.sort(services)
  return all, list, services
end

local function without_bookkeeping(records)
  for _, r in ipairs(records) do r.revision, r.source = nil, nil end
  return records
end

describe("records as variables", function()
  it("have names that people expect", function()
    assert.same({
      ATPROTO_SERVICE_PDS_URL = "http://127.0.0.1:3000", ATPROTO_SERVICE_PDS_ADDRESS = "127.0.0.1",
      ATPROTO_SERVICE_PDS_PORT = "3000", ATPROTO_SERVICE_PDS_SCHEME = "http",
      ATPROTO_SERVICE_PDS_DID = "did:web:x", ATPROTO_SERVICE_PDS_TAGS = "atproto,pds",
      ATPROTO_SERVICE_PDS_META_ZONE = "eu", ATPROTO_SERVICE_PDS_ID = "pds@edge",
      ATPROTO_SERVICE_PDS_NODE = "edge",
      ATPROTO_SERVICE_PDS_2_URL = "http://[::1]:3001", ATPROTO_SERVICE_PDS_2_ADDRESS = "::1",
      ATPROTO_SERVICE_PDS_2_PORT = "3001", ATPROTO_SERVICE_PDS_2_SCHEME = "http",
      ATPROTO_SERVICE_PDS_2_ID = "pds@far", ATPROTO_SERVICE_PDS_2_NODE = "far",
      ATPROTO_SERVICE_FEED_GEN_ADDRESS = "a", ATPROTO_SERVICE_FEED_GEN_ID = "feed-gen@a:0",
      ATPROTO_SERVICE_PDS__EU_ADDRESS = "b", ATPROTO_SERVICE_PDS__EU_ID = "pds.eu@b:0",
    }, discovery.environment {
      record { scheme = "http", did = "did:web:x", tags = { "atproto", "pds" },
        meta = { zone = "eu" } },
      record { node = "far", address = "::1", port = 3001, scheme = "http" },
      { service = "feed-gen", address = "a" }, { service = "pds.eu", address = "b" },
    })
    assert.same({ MY_PDS_ADDRESS = "a", MY_PDS_ID = "pds@a:0" },
      discovery.environment({ { service = "pds", address = "a" } }, "MY_"))
  end)

  it("come back from a child's environment as they were", function()
    for seed = 1, 8 do
      local all, list, services = random_records(seed)
      local found = found_by_child(assert(discovery.environment(list)), services)
      for name, records in pairs(all) do
        assert.same(records, without_bookkeeping(found[name]), ("seed %d, %s"):format(seed, name))
      end
    end
  end)

  it("cannot hold a zero byte", function()
    fails("invalid", "tags: a variable cannot hold a zero byte",
      discovery.environment { record { tags = { "a\0b" } } })
    local backend <close> = open(nil)
    fails("invalid", "zero byte", backend:register(record { meta = { a = "\0" } }))
  end)

  it("may be written by hand, with no more than a URL", function()
    local found = found_by_child({
      ATPROTO_SERVICE_PDS_URL = "https://pds.example.com/xrpc", ATPROTO_SERVICE_DB_URL =
      "postgresql://user:secret@[::1]:5432/x", ATPROTO_SERVICE_DB_TAGS = "a,,b",
      ATPROTO_SERVICE_TTL = "no name", ATPROTO_SERVICE_PLC_ADDRESS = "10.0.0.1",
      ATPROTO_SERVICE_PLC_META_zone = "eu", ATPROTO_SERVICE_PLC_COLOUR = "not ours",
    }, { "db", "pds", "plc" })
    local pds, db = found.pds[1], found.db[1]
    assert.same({ "pds.example.com", 443, "https" }, { pds.address, pds.port, pds.scheme })
    assert.same({ "::1", 5432, "postgresql", { "a", "b" } },
      { db.address, db.port, db.scheme, db.tags })
    assert.same({ zone = "eu" }, found.plc[1].meta)
    assert.equal("env", pds.source)
  end)
end)

describe("an env file", function()
  local path, backend
  before_each(function() path = support.tmp() .. "/services.env"; backend = open(path) end)
  after_each(function() backend:close() end)

  it("holds what was registered, for a shell, another process and us", function()
    for seed = 11, 14 do
      local all, list, services = random_records(seed)
      if file.stat(path) then assert(file.remove(path)) end
      for _, r in ipairs(list) do assert(backend:register(r)) end
      assert.same(services, backend:services())
      local other <close> = open(path)
      for name, records in pairs(all) do
        assert.same(records, without_bookkeeping(assert(backend:lookup(name))))
        assert.same(records, without_bookkeeping(assert(other:lookup(name))))
      end
      local found = found_by_child(sourced(path, PREFIX), services)
      for name, records in pairs(all) do
        assert.same(records, without_bookkeeping(found[name]))
      end
    end
    assert.equal(tonumber("640", 8), file.stat(path).mode)
  end)

  it("keeps the other lines in it", function()
    local text = "# mine\nexport PATH=\"$PATH:/x\"\nOTHER='a\nATPROTO_SERVICE_X_PORT=no'\n"
    support.write(path, text .. "export ATPROTO_SERVICE_PLC_URL='http://10.0.0.1:2582' # ours")
    assert.same({ "plc" }, backend:services())
    assert(backend:register(record()))
    assert.same({ "pds", "plc" }, backend:services())
    assert.equal(text, support.read(path):sub(1, #text))
    assert(backend:deregister("pds", "pds@edge"))
    assert(backend:deregister("plc", backend:lookup("plc")[1].id))
    assert.equal(text, support.read(path))
  end)

  it("drops what was not renewed, keeps the revision at a renewal", function()
    assert(backend:register(record(), 1))
    assert(backend:register(record { id = "b" }, 60))
    local found, cursor = backend:lookup "pds"
    assert.equal(2, #found)
    assert.same({ "b" }, ids((backend:lookup("pds", cursor, 10))))
    fails("not_found", "pds@edge is not registered in .*services.env",
      backend:renew("pds", "pds@edge"))
    local revision = backend:lookup("pds")[1].revision
    assert(backend:renew("pds", "b"))
    assert(backend:register(record { id = "b" }, 60))
    assert.equal(revision, backend:lookup("pds")[1].revision)
    assert(backend:register(record { id = "b", port = 1 }, 60))
    assert.is_true(backend:lookup("pds")[1].revision > revision)
    assert.falsy(support.read(path):find("edge_", 1, true))
  end)

  it("is watched, also when it is replaced or does not exist yet", function()
    local other <close> = open(path)
    local found, cursor = backend:lookup "pds"
    assert.same({}, found)
    for port = 1, 3 do
      local watching = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
      time.sleep(0.02)
      assert(other:register(record { port = port }))
      found, cursor = watching:join(30)
      assert.equal(port, found[1].port)
    end
    local watching = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    time.sleep(0.02)
    assert(file.remove(path))
    assert.same({}, (watching:join(30)))
  end)

  it("with a fault is named, with the line", function()
    local cases = {
      ["services.env:2: this quote is not closed"] = "\nATPROTO_SERVICE_PDS_PORT='1\n",
      ["services.env:1: sh would replace this"] = "ATPROTO_SERVICE_PDS_PORT=$X\n",
      ["services.env:1: a value with blanks must be in quotes"] = "ATPROTO_SERVICE_A_URL=a b\n",
      ["services.env:1: this value is not valid UTF-8"] = "ATPROTO_SERVICE_A_URL=\255\n",
    }
    for problem, text in pairs(cases) do
      support.write(path, text)
      for _, verb in ipairs { "lookup", "services" } do
        local value, message = backend[verb](backend, verb == "lookup" and "plc" or nil)
        assert.is_nil(value)
        assert.truthy(message:find(problem, 1, true), message)
      end
      assert.equal(nil, (backend:register(record())))
      assert.equal(text, support.read(path))
    end
    support.write(path, "ATPROTO_SERVICE_PDS_PORT=x\nATPROTO_SERVICE_PDS_ADDRESS=a\n"
      .. "ATPROTO_SERVICE_PLC_ADDRESS=a\n")
    fails("invalid", "ATPROTO_SERVICE_PDS_PORT must be a whole number", backend:lookup "pds")
    assert.equal(1, #backend:lookup "plc")
  end)

  it("lets no bad change among many at once stop the others", function()
    local writers = {}
    local function start(name, ...) writers[name] = task.spawn(...) end
    start("first", backend.register, backend, record { id = "first" }, 600)
    for i = 1, 20 do start(i, backend.register, backend, record { id = "n" .. i }, 600) end
    start("bad", backend.register, backend, record { id = "bad", meta = { a = "\0" } }, 600)
    start("absent", backend.renew, backend, "pds", "absent")
    start("gone", backend.deregister, backend, "pds", "first")
    fails("invalid", "zero byte", writers.bad:join())
    fails("not_found", "absent is not registered", writers.absent:join())
    writers.bad, writers.absent = nil, nil
    for _, writer in pairs(writers) do assert(writer:join()) end
    assert.equal(20, #backend:lookup "pds")
  end)

  it("loses no record of many writers", function()
    local code = [[
      local backend = assert(require("orrery").discovery.open("env", {envFile = %q}))
      for i = 1, 20 do
        assert(backend:register({service = "pds", node = "n%d-" .. i, address = "::1"}, 600))
      end]]
    local writers = {}
    for w = 1, 4 do
      local script = support.write(support.tmp() .. "/w.lua", code:format(path, w))
      writers[w] = assert(io.popen("exec lua5.4 " .. script .. " 2>&1"))
    end
    for _, pipe in ipairs(writers) do
      assert.equal("", pipe:read("a"))
      pipe:close()
    end
    assert.equal(80, #backend:lookup "pds")
  end)
end)

describe("the env backend without a file", function()
  it("keeps what is registered in this process, and tells those who wait", function()
    local backend <close> = open(nil)
    assert(backend:register(record(), 1))
    local found, cursor = backend:lookup "pds"
    assert.same({ "pds@edge" }, ids(found))
    local watching = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    assert(backend:register(record { id = "b" }))
    found, cursor = watching:join(30)
    assert.same({ "b", "pds@edge" }, ids(found))
    assert.same({ "b" }, ids((backend:lookup("pds", cursor, 30))))
    local other <close> = open(nil)
    assert.same({}, other:services())
  end)

  it("refuses a prefix that cannot begin a name", function()
    fails("invalid", 'envPrefix: "A%-B" cannot begin', discovery.open("env", { envPrefix = "A-B" }))
    fails("invalid", "envPrefix", discovery.open("env", { envPrefix = "1" }))
    fails("invalid", "envPrefix", discovery.open("env", { envPrefix = "" }))
  end)
end)
