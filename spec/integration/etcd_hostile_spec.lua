--- The etcd backend against servers that lie, break off or never answer.
local support = require "support"
local core = require "orrery.core"
local servers = require "support.servers"

local discovery, time = core.discovery, core.time

local function open(address, options)
  options = options or {}
  options.etcdEndpoints = address
  return assert(discovery.open("etcd", options))
end

local function at(port, fn)
  local address = "127.0.0.1:" .. port
  local backend = open(address)
  local ok, message = pcall(fn, backend, address)
  backend:close()
  assert(ok, message)
end

local function with(way, fn)
  local server = servers.start("hostile_etcd.py", way)
  local ok, message = pcall(at, server.ports[1], fn)
  server.stop()
  assert(ok, message)
end

local function cpu()
  return tonumber(assert(core.file.read("/proc/self/schedstat")):match "^%d+") / 1e9
end

-- What a lookup says when each answer is of this kind; "%A" stands for the address.
local ANSWERS = {
  { "garbage", "bad_reply", "%A: the answer %(status 200%) is not etcd's" },
  { "empty", "bad_reply", "is not etcd's" },
  { "list", "bad_reply", "is not etcd's" },
  { "deep", "bad_reply", "is not etcd's" },
  { "headerless", "bad_reply", "%A: the answer is not etcd's: it has no header" },
  { "revision", "bad_reply", "its header has no revision" },
  { "huge%-number", "bad_reply", "its header has no revision" },
  { "negative", "bad_reply", "its header has no revision" },
  { "base64", "bad_reply", "a key is malformed" },
  { "kvs", "bad_reply", "a key is malformed" },
  { "failure", "bad_reply", "%A: etcd refuses it: the .*disk" },
  { "number%-failure", "bad_reply", "it has no header" },
  { "missing", "bad_reply", "%A: there is no v3 gateway of etcd: etcd 3.4 or later is needed" },
  { "half", "bad_reply", "%A: the answer was cut off" },
  { "close", "bad_reply", "%A: the connection was closed without an answer" },
  { "big", "bad_reply", "%A: the body is larger than" },
  { "never", "timeout", "%A: no answer in time" },
}

describe("the etcd backend", function()
  local all
  setup(function()
    local ways = {}
    for i, case in ipairs(ANSWERS) do ways[i] = case[1]:gsub("%%", "") end
    all = servers.start("hostile_etcd.py", table.unpack(ways))
  end)
  teardown(function() if all then all.stop() end end)

  for i, case in ipairs(ANSWERS) do
    it("says what is wrong with the answer: " .. case[1]:gsub("%%", ""), function()
      at(all.ports[i], function(backend, address)
        local pattern = case[3]:gsub("^%%A", "^127.0.0.1:%%d+")
        local began = time.monotonic()
        local records, message, code = backend:lookup("pds")
        assert.is_nil(records)
        assert.matches(pattern, message)
        assert.equal(address, message:match "^[%d.:]+%d")
        assert.is_true(#message < 400 and not message:find "%c")
        assert.equal(case[2], code)
        assert.is_true(time.monotonic() - began < 60)
      end)
    end)
  end

  it("leaves out keys that no record can have", function()
    with("nul-key", function(backend)
      assert.equal(1, #assert(backend:lookup("pds")))
    end)
  end)

  it("tells who waits that watching fails, and does not spin", function()
    local began, used, waiting = time.monotonic(), cpu(), {}
    for _, way in ipairs { "watch-garbage", "watch-half", "watch-end", "watch-events",
      "watch-cancel", "watch-status", "watch-silent" } do
      waiting[way] = core.task.spawn(function()
        local result
        with(way, function(backend, address)
          local records, cursor = assert(backend:lookup("pds"))
          local waited, message, code = backend:lookup("pds", cursor, 30)
          result = { first = records, waited = waited, message = message, code = code,
            address = address }
        end)
        return result
      end)
    end
    for way, one in pairs(waiting) do
      local result = assert(one:join())
      assert.equal("10.0.0.1", result.first[1].address, way)
      assert.is_nil(result.waited, way)
      assert.equal(result.address, result.message:match "^%S+:%d+", way)
      assert.is_truthy(({ bad_reply = true, io = true, timeout = true })[result.code], way)
    end
    assert.is_true(cpu() - used < (time.monotonic() - began) / 2)
  end)

  it("does not show token or password, even if the server does", function()
    local server = servers.start("hostile_etcd.py", "echo")
    local backend = open("127.0.0.1:" .. server.ports[1],
      { etcdUser = "u", etcdPassword = "hush-word" })
    local _, token_shown = backend:lookup("pds")
    backend:close()
    backend = open("127.0.0.1:" .. server.ports[1],
      { etcdUser = "u", etcdPassword = "hush-word" })
    local _, login_shown = backend:lookup("pds")
    backend:close()
    server.stop()
    assert.matches("Authorization: %*%*%*", token_shown)
    assert.matches("etcd refuses the login$", login_shown)
    assert.is_nil((token_shown .. login_shown):find("hush", 1, true))
  end)

  it("lists again when it is told of a compaction", function()
    with("watch-compacted", function(backend)
      local records, cursor = assert(backend:lookup("pds"))
      assert.same(records, backend:lookup("pds", cursor, 20))
    end)
  end)

  it("goes on at the next server", function()
    local bad = servers.start("hostile_etcd.py", "garbage")
    local good = servers.start("hostile_etcd.py", "good")
    local closed = support.free_port()
    local backend = open(("127.0.0.1:%d,http://127.0.0.1:%d, 127.0.0.1:%d/"):format(closed,
      bad.ports[1], good.ports[1]))
    local records, message = backend:lookup("pds")
    backend:close()
    bad.stop()
    good.stop()
    assert(records, message)
    assert.equal("etcd", records[1].source)
  end)

  it("refuses options that cannot be meant", function()
    local function refuses(pattern, options)
      local backend, message, code = discovery.open("etcd", options)
      assert.is_nil(backend)
      assert.matches(pattern, message)
      assert.equal("invalid", code)
    end
    refuses("needs etcdEndpoints", {})
    refuses("needs etcdEndpoints", { etcdEndpoints = " , " })
    refuses('"%*%*%*" is no server', { etcdEndpoints = { "http://user:word@b" } })
    refuses('"127.0.0.1:2379/v3" is no server', { etcdEndpoints = "127.0.0.1:2379/v3" })
    refuses("list of host:port", { etcdEndpoints = { 1 } })
    refuses("etcdUser needs etcdPassword", { etcdEndpoints = "a", etcdUser = "u" })
    refuses("need etcdUser", { etcdEndpoints = "a", etcdPassword = "p" })
    refuses("one server too many", { etcdEndpoints = ("a,"):rep(65) })
  end)

  it("may be left open by a program that ends", function()
    local server = servers.start("hostile_etcd.py", "never")
    local code, out, err = support.run({ "lua5.4", "-e", ([[
      local orrery = require "orrery"
      backend = assert(orrery.discovery.open("etcd", {etcdEndpoints = "127.0.0.1:%d"}))
      orrery.task.spawn(function() backend:lookup("pds", "5", 600) end)
      orrery.task.spawn(function() backend:lock("/x", {timeout = 600}) end)
      orrery.task.spawn(function() backend:register({service = "pds", address = "::1"}) end)
      orrery.time.sleep(0.2)
      print "end"]]):format(server.ports[1]) }, { env = {
        LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH",
        LD_PRELOAD = os.getenv "LD_PRELOAD", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS" } })
    server.stop()
    assert.same({ 0, "end\n", "" }, { code, out, err })
  end)
end)
