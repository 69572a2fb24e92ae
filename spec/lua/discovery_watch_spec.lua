-- The one watch loop, its cache and the chain, over the file backend and a backend in Lua that
-- speaks to real servers, good and bad.
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local servers = require "support.servers"
local support = require "support"

local json, task, time = core.json, core.task, core.time
local record = support.record

local KEYSTORE = support.root .. "/spec/support/backends/keystore.lua"

--- A discovery over the key store at `port`; `more` are further keys.
local function over(port, more, how)
  local keys = { backend = KEYSTORE, options = { url = "http://127.0.0.1:" .. port } }
  for key, value in pairs(more or {}) do keys[key] = value end
  return assert(discovery.open(keys, how))
end

--- A key store at a port that nobody takes while it is down.
local function start_store(...)
  return servers.start("key_store.py", tostring(support.free_port()), ...)
end

local function with_store(mode, body)
  local server = start_store(mode)
  local ok, err = xpcall(body, debug.traceback, server.ports[1], server)
  server.stop()
  if not ok then error(err, 0) end
end

--- Waits until the store at `port` was asked so often for lists.
local function reach_asked(port, wanted)
  support.wait_until(function()
    local answer = core.http.get(("http://127.0.0.1:%d/asked"):format(port))
    return answer and tonumber(answer.body) >= wanted
  end, 30, wanted .. " questions")
end

--- Waits until next() gives an answer that `accepts(records, info)`.
local function reach(watch, accepts, seconds)
  local deadline = time.monotonic() + (seconds or 30)
  local records, info = watch:last()
  while not (records and accepts(records, info)) do
    local left = deadline - time.monotonic()
    if left <= 0 then error("waited in vain; last: " .. tostring(info), 2) end
    records, info = watch:next(left)
  end
  return records, info
end

local function count(wanted) return function(records) return #records == wanted end end
local function is_stale(_, info) return info.stale end
local function is_fresh(_, info) return not info.stale end

local function cpu() return os.clock() end

describe("a watch", function()
  local dir
  before_each(function() dir = support.tmp() end)

  it("gives what is known, then what changes, and tells its age and source", function()
    local found <close> = assert(discovery.open { backend = "file", filePath = dir })
    local watch <close> = found:watch "pds"
    local records, info = watch:next(30)
    assert.same({}, records)
    assert.same({ "file", false }, { info.source, info.stale })
    assert.is_true(info.age < 30)
    local waiting = task.spawn(function() return watch:next(30) end)
    local also = task.spawn(function() return watch:next(30) end)
    time.sleep(0)
    assert(found:register(record(), 60))
    records, info = waiting:join(30)
    assert.equal(records, (also:join(30)))
    assert.equal("pds@edge", records[1].id)
    assert.equal("file", records[1].source)
    assert.same({ nil, "timed out", "timeout" }, { watch:next(0.05) })
    assert(found:renew("pds", "pds@edge"))
    assert.same({ nil, "timed out", "timeout" }, { watch:next(0.2) }, "a renewal is no change")
    assert.same(records, (watch:last()))
    assert.equal("file", info.source)
    assert.has_error(function() found:watch "../x" end)
  end)

  it("is one loop for a hundred watchers, who all see the last state", function()
    local found <close> = assert(discovery.open { backend = "file", filePath = dir })
    local watches, tasks = {}, {}
    for i = 1, 100 do
      watches[i] = found:watch "pds"
      tasks[i] = task.spawn(function()
        return reach(watches[i], function(records)
          return #records == 1 and records[1].port == 20
        end)
      end)
    end
    for port = 1, 20 do assert(found:register(record { port = port }, 60)) end
    for i = 1, 100 do assert.equal(20, tasks[i]:join(30)[1].port, i) end
    local hub = watches[1].hub
    assert.is_true(hub.asked <= 45, hub.asked)
    for i = 1, 100 do
      assert.equal(hub, watches[i].hub)
      watches[i]:close()
    end
    assert.same({ nil, "closed", "closed" }, { watches[1]:next(50) })
    assert.is_nil(next(found.watches.hubs))
  end)

  it("ends for all who wait when it is closed", function()
    local found = assert(discovery.open { backend = "file", filePath = dir })
    local watch = found:watch "pds"
    watch:next(30)
    local waiting = { task.spawn(function() return watch:next(30) end),
      task.spawn(function() return watch:next() end) }
    time.sleep(0)
    found:close()
    for _, one in ipairs(waiting) do assert.same({ nil, "closed", "closed" }, { one:join(50) }) end
    assert.same({ nil, "closed", "closed" }, { found:watch "pds" })
    assert.same({ nil, "closed", "closed" }, { found:known "pds" })
  end)

  it("survives the backend's death, and sees what changed meanwhile", function()
    local first = start_store()
    local port = first.ports[1]
    local found <close> = over(port)
    assert(found:register(record(), 60))
    local watch <close> = found:watch "pds"
    reach(watch, count(1))
    first.stop()
    local records, info = reach(watch, is_stale)
    assert.equal("pds@edge", records[1].id)
    assert.equal("cache", info.source)
    assert.equal("cache", records[1].source)
    assert.equal(("Cannot query discovery backend keystore at http://127.0.0.1:%d/pds: connection "
      .. "refused")
      :format(port), info.error)
    local second = servers.start("key_store.py", tostring(port))
    assert(over(port):register(record { id = "other" }, 60))
    records, info = reach(watch, function(list, state) return not state.stale and #list == 1 end)
    second.stop()
    assert.equal("other", records[1].id)
    assert.equal("keystore", info.source)
    assert.is_nil(info.error)
  end)

  it("tells who knows nothing why that is, once", function()
    local port = support.free_port()
    local found <close> = over(port)
    local watch <close> = found:watch "pds"
    local records, message, code = watch:next(30)
    assert.is_nil(records)
    assert.matches("^Cannot query discovery backend keystore at http://127.0.0.1:%d+/pds: ",
      message)
    assert.equal("refused", code)
    assert.equal("timeout", select(3, watch:next(1.5)))
  end)

  it("lists again when its cursor is refused", function()
    with_store("broken", function(port)
      local found <close> = over(port)
      assert(found:register(record(), 60))
      local watch <close> = found:watch "pds"
      reach(watch, count(1))
      assert(found:register(record { id = "second" }, 60))
      reach(watch, count(2))
    end)
  end)

  it("takes no bad answer for an empty one", function()
    for _, mode in ipairs { "garbage", "half", "never" } do
      local good = start_store()
      local port = good.ports[1]
      local found <close> = over(port, nil, { grace = 2 })
      assert(found:register(record(), 60))
      local watch <close> = found:watch "pds"
      reach(watch, count(1))
      reach_asked(port, 2) -- it waits for a change
      good.stop()
      local bad = servers.start("key_store.py", tostring(port), mode)
      local other <close> = over(port, nil, { grace = 2 })
      local unknowing <close> = other:watch "pds"
      local ok, err = pcall(function()
        local records, info = reach(watch, is_stale)
        assert.equal(1, #records, mode)
        assert.is_string(info.error)
        local none, message = unknowing:next(30)
        assert.is_nil(none, mode)
        assert.matches("^Cannot query discovery backend keystore", message)
      end)
      bad.stop()
      if not ok then error(err, 0) end
    end
  end)

  it("does not spin when answers come at once for ever", function()
    for _, mode in ipairs { "storm", "flood" } do
      with_store(mode, function(port)
        local found <close> = over(port)
        assert(found:register(record(), 60))
        local watch <close> = found:watch "pds"
        reach(watch, count(1))
        local began, before, used = time.monotonic(), watch.hub.asked, cpu()
        time.sleep(3)
        local seconds = time.monotonic() - began
        assert.is_true(watch.hub.asked - before <= 10 + 5 * seconds + 1, mode)
        assert.is_true(cpu() - used < 0.5 * seconds, mode)
      end)
    end
  end)

  it("polls a backend that cannot watch", function()
    support.write(dir .. "/polled.lua", [[return { open = function(ctx)
      local n = 0
      return { lookup = function(_, service)
        n = n + 1
        return { { service = service, address = "10.0.0.1", port = n } }
      end }
    end }]])
    local found <close> = assert(discovery.open({ backend = "./polled.lua",
      healthCheckInterval = 1 }, { dir = dir }))
    assert.same({ watch = false, lock = false, kv = false }, found.capabilities)
    local watch <close> = found:watch "pds"
    local began = time.monotonic()
    reach(watch, function(records) return records[1].port == 3 end)
    assert.is_true(time.monotonic() - began > 1.5)
    local _, cursor = found:lookup "pds"
    assert.is_true(found:lookup("pds", cursor, 30)[1].port >= 5)
    local slow <close> = assert(discovery.open({ backend = "./polled.lua",
      healthCheckInterval = 50 }, { dir = dir }))
    local _, slow_cursor = slow:lookup "pds"
    began = time.monotonic()
    assert.equal(2, slow:lookup("pds", slow_cursor, 60)[1].port)
    assert.is_true(time.monotonic() - began < 20, "another at once")
  end)

  it("keeps the last answer while a file cannot be read", function()
    local found <close> = assert(discovery.open { backend = "file", filePath = dir })
    support.write(dir .. "/pds.json", '{"address": "10.0.0.1", "port": 1}')
    local watch <close> = found:watch "pds"
    reach(watch, count(1))
    support.write(dir .. "/pds.json", '{"address": "10.0.0.1" "port": 1}')
    local records, info = reach(watch, is_stale)
    assert.equal("10.0.0.1", records[1].address)
    assert.matches("pds.json:1:%d+: .*mend or remove", info.error)
    support.write(dir .. "/pds.json", '{"address": "10.0.0.2", "port": 1}')
    records = reach(watch, is_fresh)
    assert.equal("10.0.0.2", records[1].address)
  end)

  it("makes a lookup wait over a backend that cannot watch", function()
    support.write(dir .. "/still.lua", [[return { open = function(ctx)
      local since = ctx.time.monotonic()
      return { lookup = function(_, service)
        local port = ctx.time.monotonic() - since > 1.5 and 2 or 1
        return { { service = service, address = "10.0.0.1", port = port } }
      end }
    end }]])
    local found <close> = assert(discovery.open({ backend = "./still.lua",
      healthCheckInterval = 1 }, { dir = dir }))
    local records, cursor = found:lookup "pds"
    assert.equal(1, records[1].port)
    records, cursor = found:lookup("pds", cursor, 30)
    assert.equal(2, records[1].port)
    assert.equal(cursor, select(2, found:lookup("pds", cursor, 0.1)))
  end)
end)

describe("the last answers on disk", function()
  local dir
  before_each(function() dir = support.tmp() end)

  it("serve a new process whose backend is away", function()
    local cache = dir .. "/cache"
    local port
    with_store("", function(p)
      port = p
      local found <close> = over(p, nil, { cache = cache, keep = true })
      assert(found:register(record { did = "did:web:x" }, 60))
      local watch <close> = found:watch "pds"
      reach(watch, count(1))
    end)
    assert.equal(tonumber("640", 8), core.file.stat(cache .. "/pds.json").mode)
    local found <close> = over(port, nil, { cache = cache })
    local watch <close> = found:watch "pds"
    local records, info = watch:next(30)
    assert.equal("did:web:x", records[1].did)
    assert.equal("cache", records[1].source)
    assert.same({ "cache", true }, { info.source, info.stale })
    assert.is_true(info.age >= 0 and info.age < 60)
    assert.matches("connection refused", info.error)
    assert.equal(1, #found:known "pds")
    local none <close> = found:watch "plc"
    assert.is_nil((none:next(30)))
  end)

  it("are shown early when the backend says nothing", function()
    local cache = dir .. "/cache"
    core.file.mkdir(cache, "0750")
    support.write(cache .. "/pds.json", json.encode { backend = "keystore", at = time.now() - 100,
      records = { record() } })
    with_store("never", function(port)
      local found <close> = over(port, nil, { cache = cache })
      local watch <close> = found:watch "pds"
      local records, info = watch:next(50)
      assert.equal(1, #records)
      assert.is_true(info.age >= 99)
    end)
  end)

  it("are not believed when they are damaged or another backend's", function()
    local cases = { "", "{", "[]", "null", '{"backend":"keystore","records":[{"port":-1}]}',
      json.encode { backend = "keystore", records = { record { service = "plc" } } },
      json.encode { backend = "consul", at = 1, records = { record() } } }
    for i, text in ipairs(cases) do
      local cache = dir .. "/cache" .. i
      core.file.mkdir(cache, "0750")
      support.write(cache .. "/pds.json", text)
      local found <close> = over(support.free_port(), nil, { cache = cache })
      local watch <close> = found:watch "pds"
      assert.is_nil((watch:next(30)), text)
    end
  end)

  --- Registers and watches with the cache in `cache`; what was told.
  local function told_with(cache, port)
    local told = {}
    local found <close> = over(port, nil, { cache = cache, keep = true,
      tell = function(message) told[#told + 1] = message end })
    local watch <close> = found:watch "pds"
    for n = 1, 3 do
      assert(found:register(record { id = "pds-" .. n, meta = { text = ("x"):rep(3000) } }, 60))
      reach(watch, function(records, info) return #records == n and is_fresh(records, info) end)
    end
    return told
  end

  it("are gone without when there is no place, which is said once", function()
    support.write(dir .. "/file", "")
    with_store("", function(port)
      local told = told_with(dir .. "/file", port)
      assert.equal(1, #told)
      assert.matches("^the last answers of discovery cannot be kept, .*/file", told[1])
    end)
  end)

  it("are gone without when the disk is full", function()
    local cache = dir .. "/full"
    core.file.mkdir(cache, "0755")
    local mounted = core.process.user().uid == 0
      and support.run { "mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", cache }
    if mounted ~= 0 then return pending "only root can mount a small disk" end
    local server = start_store()
    local ok, told = pcall(told_with, cache, server.ports[1])
    server.stop()
    local left = table.concat(core.file.list(cache), " ")
    support.run { "umount", cache }
    if not ok then error(told, 0) end
    assert.equal(1, #told)
    assert.matches("No space left", told[1])
    assert.is_truthy(left == "" or left == "pds.json", left)
  end)

  it("are gone without when files may not grow", function()
    support.write(dir .. "/pds.json", '{"address": "10.0.0.1", "port": 1}')
    local script = support.write(dir .. "/script.lua", ([[
      local found = assert(require "orrery.discovery".open({ backend = "file", filePath = %q },
        { cache = %q, keep = true, tell = print }))
      local records = found:watch("pds"):next(30)
      print(records[1].address)
      found:close()]]):format(dir, dir .. "/cache"))
    local pipe = assert(io.popen("trap '' XFSZ; ulimit -f 0; exec lua5.4 " .. script .. " 2>&1"))
    local told, address = pipe:read("l"), pipe:read("l")
    pipe:close()
    assert.matches("^the last answers of discovery cannot be kept, .*File too large", told)
    assert.equal("10.0.0.1", address)
    assert.same({}, core.file.list(dir .. "/cache"))
  end)
end)

describe("the chain", function()
  local dir
  before_each(function() dir = support.tmp() end)

  it("registers with all, and asks the next only when the first errs", function()
    local server = start_store()
    local port = server.ports[1]
    local found <close> = over(port, { fallback = { "file" }, filePath = dir })
    assert(found:register(record(), 60))
    assert.equal(1, #json.decode(support.read(dir .. "/pds.json")))
    assert.equal("keystore", found:lookup("pds")[1].source)
    local _, cursor = found:lookup "pds"
    support.write(dir .. "/plc.json", '{"address": "10.0.0.9", "port": 1}')
    assert.same({}, (found:lookup "plc"), "an empty answer is an answer")
    local watch <close> = found:watch "pds"
    reach(watch, is_fresh)
    server.stop()
    local records, info = reach(watch, function(_, state) return state.source == "file" end)
    assert.equal("file", records[1].source)
    assert.is_true(info.stale)
    assert.matches("connection refused", info.error)
    assert.equal("file", found:lookup("pds", cursor, 30)[1].source)
    assert.equal("10.0.0.9", found:lookup("plc")[1].address)
    assert.same({ "pds", "plc" }, found:services())
    support.write(dir .. "/other.json", '{"pds": {"address": "10.0.0.8", "port": 2}}')
    reach(watch, count(2))
    local again = servers.start("key_store.py", tostring(port))
    records = reach(watch, is_fresh)
    again.stop()
    assert.same({}, records, "and the first counts as soon as it is back")
  end)

  it("does not give up a known answer for the emptiness of another backend", function()
    local server = start_store()
    local found <close> = over(server.ports[1], { fallback = { "file" }, filePath = dir })
    assert(over(server.ports[1]):register(record(), 60))
    local watch <close> = found:watch "pds"
    reach(watch, count(1))
    server.stop()
    local records, info = reach(watch, is_stale)
    assert.equal(1, #records)
    assert.equal("cache", info.source)
  end)

  it("tells what the first said when none answers", function()
    local found <close> = over(support.free_port(), { fallback = { "file" }, filePath = dir })
    support.remove_tree(dir)
    support.write(dir, "in the way")
    local _, message, code = found:lookup "pds"
    os.remove(dir)
    assert.matches("^Cannot query discovery backend keystore at http://127.0.0.1:%d+/pds: "
      .. "connection refused", message)
    assert.equal("refused", code)
  end)
end)
