local support = require "support"
local core = require "orrery.core"
local dnsd = require "support.dnsd"
local dnsmasq = require "support.dnsmasq"
local servers = require "support.servers"

local discovery, file, task, time = core.discovery, core.file, core.task, core.time
local fails = support.fails

local function record(fields)
  local made = { service = "pds", id = "pds@edge", address = "127.0.0.1", port = 3000 }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

local function write_key(text, mode)
  local path = support.tmp() .. "/key"
  assert(file.write(path, text, { mode = mode or "0600" }))
  return path
end

describe("discovery.open of dns", function()
  local function open(options) return discovery.open("dns", options) end

  it("says which options cannot be meant", function()
    fails("invalid", "needs dnsDomain", open {})
    fails("invalid", 'dnsDomain: must be a domain name .*"a%.%.b"', open { dnsDomain = "a..b" })
    fails("invalid", "dnsDomain: must be", open { dnsDomain = ("a."):rep(80) })
    fails("invalid", "dnsTtl: must be from 1", open { dnsDomain = "svc.test", dnsTtl = 0 })
    for _, bad in ipairs { "ns1.example.com:53", "", "127.0.0.1:53,", "no such", "127.0.0.1:99999",
      "127.0.0.1:", "127.0.0.1 127.0.0.2", { "127.0.0.1", "" } } do
      fails("invalid", "^dnsResolver: must be the address of a name server, such as 192.0.2.1:53",
        open { dnsDomain = "svc.test", dnsResolver = bad })
    end
    fails("invalid", "^dnsServer: must be an address, or a list",
      open { dnsDomain = "svc.test", dnsServer = 5 })
  end)

  it("takes addresses in each form", function()
    for _, good in ipairs { "127.0.0.1", "127.0.0.1:5353", "[::1]:53", "::1", "localhost:53",
      "127.0.0.1, 127.0.0.2:53", { "127.0.0.1", "[::1]:53" } } do
      local backend <close> = assert(open { dnsDomain = "svc.test", dnsResolver = good })
      assert.same({ watch = true, lock = false, kv = false }, backend.capabilities)
    end
  end)

  for name, text in pairs {
    ["BIND's form"] = 'key "upd" { algorithm hmac-sha256; secret "%s"; };',
    ["tsig-keygen's, with comments"] = '# a\n/* b */ key "upd" {\n\talgorithm hmac-sha256; // c\n'
      .. '\tsecret "%s";\n};\n',
    ["names without quotes"] = "key upd. { algorithm HMAC-SHA256; secret %s; };",
    ["one line"] = "hmac-sha256:upd:%s\n",
    ["one line without an algorithm"] = "upd:%s",
    ["keymgr's form"] = "# hmac-sha256:upd:%s\nkey:\n  - id: upd\n    algorithm: hmac-sha256\n"
      .. "    secret: %s\n",
    ["one key of several"] = 'key "upd" { algorithm hmac-sha512; secret "%s"; };\n'
      .. 'key "b" { algorithm hmac-sha256; secret "eHh4"; };',
  } do
    it("reads a key file in " .. name, function()
      local path = write_key((text:gsub("%%s", dnsd.SECRET)))
      local backend <close> = assert(open { dnsDomain = "svc.test", dnsKeyFile = path })
      assert.equal("dns", backend.kind)
    end)
  end

  for text, pattern in pairs {
    [""] = "holds no TSIG key: expected",
    ["nonsense"] = "holds no TSIG key",
    ['key "upd" { algorithm hmac-sha256; };'] = "holds no TSIG key",
    ['key "upd" { algorithm hmac-md5; secret "eHh4"; };'] = 'is for "hmac%-md5", which cannot be',
    ["hmac-sha256:upd:!!!"] = "the secret of key upd is not base64",
    ["hmac-sha256:a..b:eHh4"] = "the key's name is no domain name",
    ['key "upd'] = "holds no TSIG key",
    ["/* never ends"] = "holds no TSIG key",
    [("x"):rep(70000)] = "key",
  } do
    it("refuses a key file: " .. text:sub(1, 40), function()
      local value, message = open { dnsDomain = "svc.test", dnsKeyFile = write_key(text) }
      assert.is_nil(value)
      assert.matches(pattern, message)
      assert.is_nil(message:find("!!!", 1, true))
    end)
  end

  it("says that the key file is missing", function()
    fails("not_found", "/no/such/key: ", open { dnsDomain = "svc.test",
      dnsKeyFile = "/no/such/key" })
  end)

  it("warns of a key that others may read", function()
    local log = support.tmp() .. "/log"
    local path = write_key("upd:" .. dnsd.SECRET, "0644")
    local code, _, err = support.run({ "lua5.4", "-e", ([[
      local core = require "orrery.core"
      core.discovery.open("dns", { dnsDomain = "svc.test", dnsKeyFile = %q }):close()]]):format(
      path) }, { env = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH",
      LD_PRELOAD = os.getenv "LD_PRELOAD", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS" } })
    assert.equal(0, code, err)
    assert.matches("others than its owner may read this key.*chmod 600", err)
    assert.is_nil(err:find(dnsd.SECRET, 1, true))
    assert.is_nil(file.stat(log))
  end)
end)

describe("the dns backend against a server that misbehaves", function()
  local server, at, dir, keys

  setup(function()
    server = servers.start("hostile_dns.py")
    at = "127.0.0.1:" .. server.ports[1]
    dir = os.tmpname()
    os.remove(dir)
    os.execute("mkdir -p " .. dir)
    keys = dnsd.key_files(dir)
  end)

  teardown(function()
    server.stop()
    support.remove_tree(dir)
  end)

  local function open(mode)
    return assert(discovery.open("dns", { dnsDomain = mode .. ".test", dnsResolver = at,
      dnsKeyFile = keys.upd }))
  end

  for mode, expected in pairs {
    formerr = "failed to answer for .*: FORMERR", servfail = "failed to answer for .*: SERVFAIL",
    notimp = "failed to answer for .*: NOTIMP",
    strange = "failed to answer for .*: an unknown code",
    garbage = "malformed", half = "malformed", loop = "malformed",
    referral = "refers to other servers",
  } do
    it("fails, and gives no empty answer, for: " .. mode, function()
      local backend <close> = open(mode)
      fails("bad_reply", "^127.0.0.1:%d+: .*" .. expected, backend:lookup "pds")
      fails("bad_reply", expected, backend:lookup("pds", "cbf29ce484222325", 5))
      fails("bad_reply", expected, backend:services())
      fails("bad_reply", expected, backend:register(record(), 60))
    end)
  end

  for mode, expected in pairs {
    flood = "answers with too much: more than 32768 records",
    crowd = "lists 4500 instances of pds, more than 4096",
  } do
    it("bounds what it takes from a server in all: " .. mode, function()
      local backend <close> = open(mode)
      fails("bad_reply", "^127.0.0.1:%d+: " .. expected, backend:lookup "pds")
    end)
  end

  it("takes a refusal for one", function()
    local backend <close> = open "refused"
    fails("denied", "refuses to answer for _pds._tcp.refused.test", backend:lookup "pds")
  end)

  it("asks the next server when one fails or refuses", function()
    local other = servers.start("hostile_dns.py")
    local two = { at, "127.0.0.1:" .. other.ports[1] }
    for mode, expected in pairs { servfail = "bad_reply", refused = "denied" } do
      local backend <close> = assert(discovery.open("dns", { dnsDomain = mode .. ".test",
        dnsResolver = two }))
      local _, _, code = backend:lookup "pds"
      assert.equal(expected, code)
    end
    other.stop()
    -- The first serves nothing but one zone, the second all.
    local picky = servers.start("hostile_dns.py", "refused")
    local backend <close> = assert(discovery.open("dns", { dnsDomain = "nothing.test",
      dnsResolver = { "127.0.0.1:" .. picky.ports[1], at } }))
    local found, message = backend:lookup "pds"
    picky.stop()
    assert.same({}, found, message)
  end)

  it("takes a name that does not exist for no instances", function()
    local backend <close> = open "nothing"
    assert.same({}, (backend:lookup "pds"))
    assert.same({}, backend:services())
  end)

  for mode, expected in pairs {
    updnotzone = { "invalid", "do not lie in zone test: set dnsDomain to the zone" },
    updnotimp = { "denied", "takes no updates %(NOTIMP%): set dnsServer" },
    updservfail = { "bad_reply", "failed to update zone test %(SERVFAIL%): its log says why" },
    updformerr = { "bad_reply", "refuses the update of zone test: FORMERR" },
    updnotauth = { "denied", "is not the server that updates zone test" },
    updrefused = { "denied", "refuses that key upd updates zone test" },
    upd = { "bad_reply", "is not signed with key upd" },
    updforged = { "bad_reply", "is not signed with key upd" },
    updmirror = { "bad_reply", "is not signed with key upd" },
    updyxdomain = { "bad_reply", "is not signed with key upd" },
    updgarbage = { "bad_reply", "malformed" },
  } do
    it("tells what an update was answered: " .. mode, function()
      local backend <close> = open(mode)
      fails(expected[1], expected[2], backend:register(record(), 60))
    end)
  end

  it("ends in time when the server says nothing of use", function()
    local ended, began = {}, time.monotonic()
    local modes = { "silent", "short", "wrongid", "other", "tcpsilent", "tcphalf", "tcpclose" }
    for _, mode in ipairs(modes) do
      task.spawn(function()
        local backend <close> = open(mode)
        local value, message, code = backend:lookup "pds"
        ended[#ended + 1] = { mode, value, message, code }
      end)
    end
    task.spawn(function()
      local backend <close> = open "updsilent"
      local value, message, code = backend:register(record(), 60)
      ended[#ended + 1] = { "updsilent", value, message, code }
    end)
    support.wait_until(function() return #ended == #modes + 1 end, 90)
    for _, what in ipairs(ended) do
      assert.is_nil(what[2], what[1])
      assert.matches("^127.0.0.1:%d+: [nc]o", what[3], what[1])
      assert.is_true(what[4] == "timeout" or what[4] == "refused", what[1])
    end
    assert.is_true(time.monotonic() - began < 60)
  end)

  it("reads whatever bytes come, in bounded time", function()
    local left, codes = 0, {}
    for seed = 1, 400 do
      left = left + 1
      task.spawn(function()
        local backend <close> = open("fuzz-" .. seed)
        local _, _, code = backend:lookup "pds"
        codes[code or "answer"] = (codes[code or "answer"] or 0) + 1
        backend:services()
        left = left - 1
      end)
      if seed % 40 == 0 then support.wait_until(function() return left == 0 end, 60) end
    end
    assert.is_true(codes.bad_reply > 50 and codes.answer > 5, core.json.encode(codes))
  end)

  it("reads whatever bytes come as the answer to an update", function()
    for seed = 1, 100 do
      local backend <close> = open("updfuzz-" .. seed)
      local value, _, code = backend:register(record(), 60)
      assert.is_nil(value)
      assert.equal("bad_reply", code)
    end
  end)
end)

describe("the dns backend against dnsmasq", function()
  local server, reason, dir, backend

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    os.execute("mkdir -p " .. dir)
    server, reason = dnsmasq.start { dir = dir, records = table.concat({
      "--srv-host=_web._tcp.svc.test,i1.svc.test,8080,10,5",
      "--srv-host=_web._tcp.svc.test,i2.svc.test,8081,10,5",
      "--host-record=i1.svc.test,127.0.0.11", "--host-record=i2.svc.test,127.0.0.12",
      "--ptr-record=_pds._tcp.svc.test,one._pds._tcp.svc.test",
      "--ptr-record=_services._dns-sd._udp.svc.test,_pds._tcp.svc.test",
      "--srv-host=one._pds._tcp.svc.test,i1.svc.test,3000",
      "--txt-record=one._pds._tcp.svc.test,tag=eu,scheme=http",
    }, " ") }
    backend = server and assert(discovery.open("dns", { dnsDomain = "svc.test",
      dnsResolver = server.address, dnsTtl = 1 }))
  end)

  teardown(function()
    if backend then backend:close() end
    if server then server.stop() end
    support.remove_tree(dir)
  end)

  local function test(name, fn)
    it(name, function()
      if not server then return pending(reason) end
      fn()
    end)
  end

  test("reads what it has", function()
    local web = assert(backend:lookup "web")
    assert.same({ "127.0.0.11", "127.0.0.12" }, { web[1].address, web[2].address })
    local one = assert(backend:lookup "pds")[1]
    assert.same({ "one", "127.0.0.11", 3000, "http", "eu" },
      { one.id, one.address, one.port, one.scheme, one.tags[1] })
    assert.same({ "pds" }, backend:services())
    assert.equal(2, #dnsd.dig(server, "+short SRV _web._tcp.svc.test"))
  end)

  test("waits its own lifetime after an answer without a SOA", function()
    local found, cursor = backend:lookup "none"
    assert.same({}, found)
    local _, same = backend:lookup("none", cursor, 1.5)
    assert.equal(cursor, same)
  end)

  test("cannot be updated", function()
    local value, message = backend:register(record(), 60)
    assert.is_nil(value)
    assert.matches("^127.0.0.1:%d+: has no zone that svc.test lies in", message)
  end)
end)
