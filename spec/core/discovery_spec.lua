local support = require "support"
local orrery = require "orrery"
local discovery, file, json, task, time =
  orrery.discovery, orrery.file, orrery.json, orrery.task, orrery.time
local fails, record, ids = support.fails, support.record, support.ids

local root = file.stat("/proc/self").uid == 0

local function open(dir) return assert(discovery.open("file", { filePath = dir })) end

-- What a lua5.4 of another user needs to load the engine under test.
local child_env = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH",
  LD_PRELOAD = os.getenv "LD_PRELOAD", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS" }

local function sh(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1"))
  return (pipe:read("a"):gsub("%s+$", ""))
end

--- Starts a lua5.4 that has `backend` open on `dir` and runs `code`: its output, its pid.
local function start(dir, code)
  local path = support.tmp() .. "/script.lua"
  support.write(path, ([[
    local orrery = require "orrery"
    local backend = assert(orrery.discovery.open("file", {filePath = %q}))
    print(orrery.file.realpath("/proc/self"):match "%%d+")
    io.stdout:flush()
    %s]]):format(dir, code))
  local pipe = assert(io.popen("exec lua5.4 " .. path .. " 2>&1"))
  return pipe, tonumber(pipe:read("l"))
end

describe("discovery.open", function()
  it("names the kinds there are", function()
    fails("not_found", 'no discovery backend "zookeeper"; there are: .*file',
      discovery.open("zookeeper", {}))
    assert.is_truthy(table.concat(discovery.kinds(), " "):find("file", 1, true))
    fails("invalid", "needs filePath", discovery.open("file", {}))
  end)

  it("makes the folder, and tells what the backend can", function()
    local dir = support.tmp() .. "/a/b"
    local backend <close> = discovery.open("file", { filePath = dir })
    assert.same({ watch = true, lock = false, kv = false }, backend.capabilities)
    assert.equal("file", backend.kind)
    assert.equal(tonumber("755", 8), file.stat(dir).mode)
  end)

  it("refuses what the backend does not read", function()
    fails("invalid", 'backend file does not read "filPath"; it reads: filePath',
      discovery.open("file", { filPath = "/x" }))
    fails("invalid", 'does not read "a list"', discovery.open("file", { "x" }))
    fails("invalid", "filePath: a function is not data",
      discovery.open("file", { filePath = print }))
    assert.same({ "filePath" }, discovery.options "file")
    fails("not_found", "no discovery backend", discovery.options "zookeeper")
  end)

  it("refuses locks and keys where there are none", function()
    local backend <close> = open(support.tmp())
    local none = "the discovery backend file has no locks; use consul or etcd"
    fails("invalid", none, backend:lock "/a")
    fails("invalid", none, backend:lock("/a", { ttl = 3, value = "x", timeout = 1 }))
    fails("invalid", none, backend:renew_lock "x")
    fails("invalid", none, backend:unlock("/a", "x"))
    none = "the discovery backend file has no keys and values"
    fails("invalid", none, backend:kv_get "/a")
    fails("invalid", none, backend:kv_get("/a", "1", 5))
    fails("invalid", none, backend:kv_put("/a", "x", 0))
    fails("invalid", none, backend:kv_delete("/a", 3))
    for _, key in ipairs { "", "a b", "a\n", "\200", ("x"):rep(513) } do
      assert.has_error(function() backend:kv_get(key) end)
      assert.has_error(function() backend:lock(key) end)
    end
    assert.has_error(function() backend:kv_put("/a", "x", -1) end)
    assert.has_error(function() backend:lock("/a", { ttl = 0 }) end)
    assert.has_error(function() backend:lock("/a", { ttl = "x" }) end)
    backend:close()
    fails("closed", "closed", backend:lock "/a")
    fails("closed", "closed", backend:kv_get "/a")
  end)

  it("checks records for those who have them from elsewhere", function()
    assert.same({ service = "pds", id = "pds@::1:5", address = "::1", port = 5, tags = {},
      meta = {}, status = "passing", revision = 0 },
      discovery.record { service = "pds", address = "::1", port = 5 })
    fails("invalid", "port: must be",
      discovery.record { service = "pds", address = "a", port = -1 })
    fails("invalid", "service: is missing", discovery.record {})
  end)

  it("says why a folder cannot be used", function()
    local dir = support.tmp()
    support.write(dir .. "/file", "")
    fails("exists", "cannot make the folder .*/file",
      discovery.open("file", { filePath = dir .. "/file" }))
    if root and sh(("mkdir %s/ro && mount -t tmpfs -o ro tmpfs %s/ro"):format(dir, dir)) == "" then
      local missing = table.pack(discovery.open("file", { filePath = dir .. "/ro/x" }))
      local backend <close> = open(dir .. "/ro")
      local written = table.pack(backend:register(record()))
      sh(("umount %s/ro"):format(dir))
      fails("denied", "Read%-only", table.unpack(missing, 1, 3))
      fails("denied", "/ro/%.lock: Read%-only", table.unpack(written, 1, 3))
    end
  end)

  it("raises when a metamethod is given something else", function()
    local backend <close> = open(support.tmp())
    assert.has_error(function() return backend.__index(5, "kind") end)
  end)
end)

describe("the file backend", function()
  local dir, backend
  before_each(function() dir = support.tmp(); backend = open(dir) end)
  after_each(function() backend:close() end)

  it("gives back what was registered", function()
    assert.is_true(backend:register(record { tags = { "a", "b" }, meta = { zone = "eu" },
      scheme = "http", did = "did:web:pds.example.com" }))
    local found = backend:lookup "pds"
    assert.is_true(found[1].revision > 0)
    found[1].revision = nil
    assert.same({ { service = "pds", id = "pds@edge", node = "edge", address = "127.0.0.1",
      port = 3000,
      scheme = "http", did = "did:web:pds.example.com", tags = { "a", "b" }, meta = { zone = "eu" },
      status = "passing", source = "file" } }, found)
    assert.same({ "pds" }, backend:services())
    assert.same({}, (backend:lookup "plc"))
  end)

  it("takes empty tables, and numbers as meta", function()
    assert(backend:register(record { tags = {}, meta = {} }))
    local meta = { weight = 10, on = true }
    assert(backend:register(record { id = "b", tags = json.array(), meta = meta }))
    local found = backend:lookup "pds"
    assert.same({ weight = "10", on = "true" }, found[1].meta)
    assert.same({}, found[2].tags)
    assert.same({}, found[2].meta)
  end)

  it("writes files that a person can read, and others may", function()
    assert(backend:register(record { port = 3001 }, 60))
    local path = dir .. "/pds.json"
    assert.equal(tonumber("644", 8), file.stat(path).mode)
    local text = file.read(path)
    assert.matches('^%[\n  {\n    "service": "pds",\n    "id": "pds@edge",', text)
    local written = json.decode(text)[1]
    assert.is_nil(written.source)
    assert.equal(60, written.ttl)
    assert.is_true(math.abs(written.expires - time.now() - 60) <= 2)
    assert.matches("^%x+%-", written.owner.bootId)
  end)

  it("keeps records apart by id, and replaces one with the same", function()
    assert(backend:register(record { id = "pds-2@edge", port = 3001 }))
    assert(backend:register(record()))
    assert(backend:register(record { service = "plc" }))
    assert(backend:register(record { port = 4000 }))
    local found = backend:lookup "pds"
    assert.same({ "pds-2@edge", "pds@edge" }, ids(found))
    assert.equal(4000, found[2].port)
    assert.same({ "pds", "plc" }, backend:services())
    assert(backend:deregister("pds", "pds-2@edge"))
    assert(backend:deregister("pds", "pds-2@edge"), "a second time is fine")
    assert(backend:deregister("pds", "pds@edge"))
    assert.is_nil((file.stat(dir .. "/pds.json")))
    assert.same({ "plc" }, backend:services())
  end)

  it("raises the revision for a change, not for a renewal", function()
    assert(backend:register(record(), 60))
    local first = backend:lookup("pds")[1].revision
    assert(backend:renew("pds", "pds@edge"))
    assert(backend:register(record(), 60))
    assert.equal(first, backend:lookup("pds")[1].revision)
    assert(backend:register(record { status = "failing" }, 60))
    assert.is_true(backend:lookup("pds")[1].revision > first)
  end)

  it("refuses records that are none", function()
    local cases = {
      ["service: is missing"] = { address = "a", port = 1 },
      ["address: is missing"] = { service = "pds" },
      ["port: must be a whole number from 0 to 65535"] = record { port = 70000 },
      ["service: must be up to 63 letters"] = record { service = "../etc/passwd" },
      ["id: must be"] = record { id = "a/b" },
      ["address: must be"] = record { address = "a b" },
      ["did: must be a DID"] = record { did = "web:x" },
      ["tags: must be a list"] = record { tags = { a = 1 } },
      ["tags: must be strings"] = record { tags = { ("x"):rep(200) } },
      ["meta: must be strings"] = record { meta = { a = ("x"):rep(5000) } },
      ["meta.f: a function is not data"] = record { meta = { f = print } },
    }
    for problem, bad in pairs(cases) do
      local value, message, code = backend:register(bad)
      assert.is_nil(value)
      assert.equal("invalid", code)
      assert.is_truthy(message:find(problem, 1, true), message)
    end
    assert.same({}, backend:services())
    assert.has_error(function() backend:lookup "../x" end)
    assert.has_error(function() backend:renew("pds", "a/b") end)
    assert.has_error(function() backend:register(record(), -1) end)
  end)

  it("drops what was not renewed in time", function()
    assert(backend:register(record { id = "pds-2@edge" }, 60))
    assert(backend:register(record { id = "pds-3@edge" }))
    assert(backend:register(record(), 3)) -- also a busy machine looks it up before that
    local found, cursor = backend:lookup "pds"
    assert.equal(3, #found)
    assert.same({ "pds-2@edge", "pds-3@edge" }, ids((backend:lookup("pds", cursor, 30))))
    fails("not_found", "pds@edge is not registered", backend:renew("pds", "pds@edge"))
    assert(backend:renew("pds", "pds-2@edge"))
    assert(backend:renew("pds", "pds-3@edge"), "one that never expires may be renewed as well")
    assert.equal(2, #json.decode(file.read(dir .. "/pds.json")), "the next write prunes")
  end)

  it("drops the records of a process that has died, at once", function()
    local pipe, pid = start(dir, [[
      local r = {service = "pds", node = "a", address = "::1", port = 1}
      assert(backend:register(r, 600))
      r.node = "b"
      assert(backend:register(r, 600, {owner = false}))
      print "ready"
      io.stdout:flush()
      orrery.time.sleep(600)]])
    assert.equal("ready", pipe:read("l"))
    local found, cursor = backend:lookup "pds"
    assert.same({ "pds@a", "pds@b" }, ids(found))
    local begin = time.monotonic()
    local watching = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    sh("kill -9 " .. pid)
    pipe:close()
    assert.same({ "pds@b" }, ids((watching:join(30))))
    assert.is_true(time.monotonic() - begin < 20)
    assert(backend:renew("pds", "pds@b"))
    assert.equal(1, #json.decode(file.read(dir .. "/pds.json")))
  end)

  it("judges an owner on its own node only", function()
    local owner = { node = "elsewhere", bootId = "x", pid = 999999999, startTime = 1 }
    local other = { service = "pds", id = "pds@elsewhere", address = "10.0.0.9", port = 1,
      owner = owner, ttl = 600, expires = math.floor(time.now()) + 600 }
    support.write(dir .. "/pds.json", json.encode { other })
    assert.same({ "pds@elsewhere" }, ids((backend:lookup "pds")))
    assert(backend:register(record(), 600))
    local own = json.decode(file.read(dir .. "/pds.json"))[2].owner
    assert.same({ "pds@edge", "pds@elsewhere" }, ids((backend:lookup "pds")))
    own.bootId = "an-earlier-boot"
    other.owner = own
    support.write(dir .. "/pds.json", json.encode { other })
    assert.same({}, (backend:lookup "pds"))
  end)

  it("reads what people write", function()
    support.write(dir .. "/relay.json",
      '{"address": "relay.example.com", "port": 443, "scheme": "https"}')
    support.write(dir .. "/plc.json",
      '[{"address": "10.0.0.1", "port": 1}, {"address": "10.0.0.2", "port": 1}]')
    support.write(dir .. "/static.json", [[{
      "pds": {"address": "10.0.0.3", "port": 3000, "tags": ["main"]},
      "plc": [{"address": "::1", "port": 2}]
    }]])
    support.write(dir .. "/note.txt", "not read")
    assert.equal("https", backend:lookup("relay")[1].scheme)
    assert.same({ "main" }, backend:lookup("pds")[1].tags)
    assert.same({ "plc@10.0.0.1:1", "plc@10.0.0.2:1", "plc@::1:2" }, ids((backend:lookup "plc")))
    assert.same({ "pds", "plc", "relay" }, backend:services())
    assert(backend:register(record { service = "relay", id = "relay@edge" }, 60))
    assert.equal(2, #backend:lookup "relay", "what a person wrote stays")
    assert(backend:register(record { service = "static", id = "static@edge" }))
    assert.equal(1, #backend:lookup "static")
    assert(backend:deregister("static", "static@edge"))
    assert.equal(1, #backend:lookup "pds", "an object by service name stays one")
  end)

  it("names the file and the place of a fault, and gives no empty list", function()
    support.write(dir .. "/pds.json", '[\n  {"address": "10.0.0.1" "port": 1}\n]')
    fails("invalid", "/pds%.json:2:%d+: .*mend or remove", backend:lookup "pds")
    fails("invalid", "/pds%.json:2:%d+: ", backend:register(record()))
    fails("invalid", "/pds%.json:2:%d+: ", backend:services())
    fails("invalid", "/pds%.json:2:%d+: ", backend:lookup "plc")
    support.write(dir .. "/plc.json", '{"address": "10.0.0.1", "port": 1}')
    assert.equal(1, #backend:lookup "plc", "the fault of another file hides no answer")
    support.write(dir .. "/pds.json",
      '[{"address": "10.0.0.1", "port": 1}, {"address": "10.0.0.1", "port": -1}]')
    fails("invalid", "/pds%.json: %[1%]%.port: must be", backend:lookup "pds")
    support.write(dir .. "/pds.json", '{"pds": {"adress": "10.0.0.1"}}')
    fails("invalid", "/pds%.json: pds%.address: is missing", backend:lookup "pds")
    support.write(dir .. "/pds.json", "")
    fails("invalid", "/pds%.json:", backend:lookup "pds")
    assert(file.remove(dir .. "/pds.json"))
    assert(file.mkdir(dir .. "/pds.json"))
    fails("invalid", "is a folder", backend:lookup "pds")
    assert(file.remove_tree(dir))
    fails("not_found", "cannot list", backend:lookup "pds")
  end)
end)

describe("a waiting lookup", function()
  local dir, backend
  before_each(function() dir = support.tmp(); backend = open(dir) end)
  after_each(function() backend:close() end)

  it("returns at a change, whoever makes it", function()
    local found, cursor = backend:lookup "pds"
    assert.same({}, found)
    local other <close> = open(dir)
    for step = 1, 3 do
      local watching = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
      time.sleep(0.02)
      local begin = time.monotonic()
      assert(other:register(record { port = 3000 + step }))
      found, cursor = watching:join(30)
      assert.equal(3000 + step, found[1].port)
      assert.is_true(time.monotonic() - begin < 20)
    end
    local watching = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    time.sleep(0.02)
    support.write(dir .. "/pds.json", '{"address": "10.0.0.1", "port": 1}')
    assert.equal("10.0.0.1", watching:join(30)[1].address)
  end)

  it("returns the same at the timeout, and does not wake for a renewal", function()
    assert(backend:register(record(), 60))
    local _, cursor = backend:lookup "pds"
    local begin = time.monotonic()
    local watching = task.spawn(function() return backend:lookup("pds", cursor, 0.5) end)
    assert(backend:renew("pds", "pds@edge"))
    local found, same = watching:join(30)
    assert.equal(1, #found)
    assert.equal(cursor, same)
    assert.is_true(time.monotonic() - begin >= 0.45)
    assert.equal(cursor, select(2, open(dir):lookup "pds"), "the cursor is the same for all")
  end)

  it("goes on in a folder that took the place of the first", function()
    assert(backend:register(record()))
    local _, cursor = backend:lookup "pds"
    local watching = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    time.sleep(0.02)
    local next_dir = support.tmp()
    assert(file.copy_tree(dir .. "/pds.json", next_dir .. "/pds.json"))
    assert(file.rename(dir, dir .. "-old"))
    assert(file.rename(next_dir, dir))
    time.sleep(0.1) -- what it watches is no file there, so the answer has not changed
    assert.is_false(watching:done())
    support.write(dir .. "/new.json", '{"address": "10.0.0.2", "port": 2}')
    assert(file.rename(dir .. "/new.json", dir .. "/pds.json"))
    assert.equal("10.0.0.2", watching:join(30)[1].address)
    assert(file.remove_tree(dir .. "-old"))
  end)

  it("is one of a hundred, each of which gets the last state", function()
    local watchers, changes = {}, 20
    for i = 1, 100 do
      watchers[i] = task.spawn(function()
        local found, cursor = backend:lookup "pds"
        while not (found[1] and found[1].port == changes) do
          found, cursor = assert(backend:lookup("pds", cursor, 60))
        end
        return found[1].port
      end)
    end
    local other <close> = open(dir)
    for port = 1, changes do assert(other:register(record { port = port })) end
    for i = 1, 100 do assert.equal(changes, watchers[i]:join(60)) end
  end)

  it("returns at once for a cursor of another time", function()
    local begin = time.monotonic()
    assert.same({}, (backend:lookup("pds", "0", 30)))
    assert.is_true(time.monotonic() - begin < 20)
  end)

  it("ends when it is cancelled, the backend closed, the folder removed", function()
    local _, cursor = backend:lookup "pds"
    local first = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    time.sleep(0.02)
    first:cancel()
    first:join()
    local second = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    time.sleep(0.02)
    backend:close()
    fails("closed", "closed", second:join(50))
    fails("closed", "closed", backend:lookup "pds")
    backend = open(dir)
    local third = task.spawn(function() return backend:lookup("pds", cursor, 30) end)
    time.sleep(0.02)
    assert(file.remove_tree(dir))
    fails("not_found", "cannot list", third:join(50))
  end)
end)

describe("a program that ends", function()
  it("need not close what it opened", function()
    local dir = support.tmp()
    local code, out, err = support.run({ "lua5.4", "-e", ([[
      local orrery = require "orrery"
      local dir = %q
      backend = assert(orrery.discovery.open("file", {filePath = dir}))
      local _, cursor = backend:lookup "pds"
      orrery.task.spawn(function() backend:lookup("pds", cursor, 600) end)
      watch = assert(orrery.file.watch(dir))
      orrery.task.spawn(function() watch:next() end)
      idle = assert(orrery.file.watch(dir))
      lock = assert(orrery.file.lock(dir .. "/mine"))
      orrery.task.spawn(function() orrery.file.lock(dir .. "/mine", {wait = 600}) end)
      orrery.task.spawn(function() backend:register({service = "pds", address = "::1"}) end)
      orrery.time.sleep(0.01)
      print "end"]]):format(dir) }, { env = child_env })
    assert.same({ 0, "end\n", "" }, { code, out, err })
  end)
end)

describe("many writers", function()
  it("leave a temporary file when they are killed, which the next one sweeps", function()
    local dir = support.tmp()
    local backend <close> = open(dir)
    assert(backend:register(record()))
    support.write(dir .. "/.pds.json.a1B2c3", '[{"addr')
    support.write(dir .. "/.plc.json.a1B2c3", "of another service")
    assert.same({ "pds@edge" }, ids((backend:lookup "pds")))
    assert(backend:register(record { port = 2 }))
    assert.same({ ".lock", ".plc.json.a1B2c3", "pds.json" }, file.list(dir))
  end)

  it("need the right to write, readers do not", function()
    if not root then return pending "needs root to run a child as nobody" end
    local dir = support.tmp()
    assert(file.chmod(dir, "0755"))
    local backend <close> = open(dir)
    assert(backend:register(record()))
    local code, out, err = support.run({ "lua5.4", "-e", ([[
      local backend = assert(require("orrery").discovery.open("file", {filePath = %q}))
      io.write(backend:lookup("pds")[1].id, " ")
      print(select(2, backend:deregister("pds", "pds@edge")))]]):format(dir) },
      { user = "nobody", env = support.engine_for_others() })
    assert.equal(0, code, err)
    assert.matches("^pds@edge cannot lock .*/%.lock: Permission denied\tdenied\n$", out)
    assert.equal(1, #backend:lookup "pds")
  end)

  it("lose no record", function()
    local dir = support.tmp()
    local writers = {}
    for w = 1, 4 do
      writers[w] = start(dir, ([[
        for i = 1, 50 do
          local r = {service = "pds", node = "n%d-" .. i, address = "::1", port = i}
          assert(backend:register(r, 600, {owner = false}))
        end
        print "done"]]):format(w))
    end
    for _, pipe in ipairs(writers) do
      assert.equal("done\n", pipe:read("a"))
      pipe:close()
    end
    local backend <close> = open(dir)
    assert.equal(200, #backend:lookup "pds")
    assert.same({ ".lock", "pds.json" }, file.list(dir))
  end)

  it("of one process at once are few changes of the file, each with its own answer", function()
    local dir = support.tmp()
    local backend <close> = open(dir)
    support.write(dir .. "/bad.json", "[")
    local writers = {}
    local function start_one(...) writers[#writers + 1] = task.spawn(...) end
    for i = 1, 20 do
      start_one(backend.register, backend, record { id = "n" .. i, service = "s" .. i % 2 }, 600)
    end
    local late = task.spawn(backend.renew, backend, "s1", "absent")
    local broken = task.spawn(backend.register, backend, record { service = "bad" }, 600)
    start_one(backend.deregister, backend, "s1", "n1")
    fails("not_found", "absent is not registered", late:join())
    fails("invalid", "bad.json:1:", broken:join())
    for _, writer in ipairs(writers) do assert(writer:join()) end
    assert.same({ 10, 9 }, { #backend:lookup "s0", #backend:lookup "s1" })
  end)

  it("wait for the lock, and give up with its holder's name", function()
    local dir = support.tmp()
    local backend <close> = open(dir)
    local lock = assert(file.lock(dir .. "/.lock"))
    local writing = task.spawn(function() return backend:register(record()) end)
    local refused = task.spawn(function() return backend:register(record { service = "plc" }) end)
    time.sleep(0.1)
    assert.is_false(writing:done())
    refused:cancel()
    refused:join()
    lock:close()
    assert.is_true(writing:join(50))
    assert.same({ "pds" }, backend:services())
    lock = assert(file.lock(dir .. "/.lock"))
    fails("timeout", "/%.lock is locked by process %d+, for 5 s", backend:register(record()))
    lock:close()
  end)

  it("may be killed at any moment", function()
    local dir = support.tmp()
    local backend <close> = open(dir)
    assert(backend:register(record { id = "pds@kept" }))
    for round = 1, 15 do
      local pipe, pid = start(dir, [[
        local meta = {filler = ("x"):rep(4000)}
        local r = {service = "pds", id = "pds@busy", address = "::1", meta = meta}
        for i = 1, 1e9 do
          r.port = i % 60000 + 1
          assert(backend:register(r, 600))
        end]])
      local _, cursor = backend:lookup "pds"
      backend:lookup("pds", cursor, 10)
      time.sleep(round * 0.003)
      sh("kill -9 " .. pid)
      pipe:close()
      assert.same({ "pds@kept" }, ids((backend:lookup "pds")))
      assert(backend:register(record { id = "pds@kept", port = round }))
      assert.same({ ".lock", "pds.json" }, file.list(dir))
    end
  end)

  it("may be cancelled at any moment", function()
    local dir = support.tmp()
    local backend = open(dir)
    local tasks = {}
    for i = 1, 60 do
      tasks[i] = task.spawn(function()
        backend:register(record { id = "pds@n" .. i })
        backend:lookup "pds"
      end)
    end
    for i = 1, 60 do
      time.sleep(i % 3 * 0.001)
      tasks[i]:cancel()
    end
    backend:close()
    local again <close> = open(dir)
    assert(again:lookup "pds")
    for i = 1, 60 do tasks[i]:join(50) end
  end)

  it("leave the old file when the disk is full", function()
    if not root then return pending "needs root to mount a file system" end
    local dir = support.tmp()
    local said = sh(("mount -t tmpfs -o size=64k,mode=755 tmpfs %s"):format(dir))
    if said ~= "" then return pending("cannot mount a file system here: " .. said) end
    local backend = open(dir)
    local ok, problem = pcall(function()
      local value, message, code
      local meta = { filler = ("x"):rep(4000) }
      for i = 1, 100 do
        value, message, code = backend:register(record { id = "pds@n" .. i, meta = meta })
        if not value then break end
      end
      fails("io", "cannot write .*/pds.json: No space left", value, message, code)
      assert.is_true(#backend:lookup "pds" > 0)
      assert.same({ ".lock", "pds.json" }, file.list(dir))
      assert(backend:deregister("pds", "pds@n1"))
    end)
    backend:close()
    sh("umount " .. dir)
    assert(ok, problem)
  end)
end)
