local support = require "support"
local core = require "orrery.core"
local dnsd = require "support.dnsd"

local discovery, file, json, task, time =
  core.discovery, core.file, core.json, core.task, core.time
local fails, ids = support.fails, support.ids

local function record(fields)
  local made = { service = "pds", id = "pds@edge", node = "edge", address = "127.0.0.1",
    port = 3000 }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

-- A folder that outlives the test that makes it.
local function folder()
  local path = os.tmpname()
  os.remove(path)
  os.execute("mkdir -p " .. path)
  return path
end

for _, kind in ipairs { "bind", "knot" } do
  describe("the dns backend against " .. kind, function()
    local dir, server, reason, keys, backend
    local start = require("support." .. kind).start

    setup(function()
      dir = folder()
      server, reason = start { dir = dir, records = [[
_web._tcp SRV 10 5 8080 web1
_web._tcp SRV 20 5 8081 web2
web1 A 192.0.2.1
web2 AAAA 2001:db8::2
_hand._tcp PTR My\ Printer._hand._tcp
_hand._tcp PTR two._hand._tcp
My\ Printer._hand._tcp SRV 0 0 631 web1
My\ Printer._hand._tcp TXT "txtvers=1" "paper=A4" "color"
two._hand._tcp SRV 0 0 80 outside.example.
two._hand._tcp TXT "tag=eu" "exp=1" "did=nonsense"
gone._hand._tcp SRV 0 0 0 .
_hand._tcp PTR gone._hand._tcp
_hand._tcp PTR missing._hand._tcp
_newer._tcp PTR x._newer._tcp
x._newer._tcp SRV 0 0 5 web1
x._newer._tcp TXT "orrery=1" "id=bad id" "address=not an address" "node=!" "tag=a"
_taken._tcp CNAME web1
pds\@used._pds._tcp HINFO a b
pds\@hand._pds._tcp SRV 0 0 1 web1
pds\@hand._pds._tcp TXT "id=pds@hand"
]] }
      keys = dnsd.key_files(dir)
    end)

    teardown(function()
      if server then server.stop() end
      support.remove_tree(dir)
    end)

    before_each(function()
      if not server then return end
      backend = assert(discovery.open("dns", { dnsDomain = "svc.test",
        dnsResolver = server.address, dnsKeyFile = keys.upd, dnsTtl = 1 }))
    end)

    after_each(function()
      if backend then backend:close() end
      backend = nil
    end)

    -- A test that needs the server.
    local function test(name, fn)
      it(name, function()
        if not server then return pending(reason) end
        fn()
      end)
    end

    local function open(options)
      options.dnsDomain = options.dnsDomain or "svc.test"
      options.dnsResolver = options.dnsResolver or server.address
      return assert(discovery.open("dns", options))
    end

    test("gives back what was registered", function()
      local made = record { scheme = "http", did = "did:web:pds.example.com", tags = { "a", "b,c" },
        meta = { zone = "eu", empty = "", ["odd=key%"] = "x=y\\\"\226\130\172" } }
      assert.is_true(backend:register(made, 60))
      local found = assert(backend:lookup "pds")
      assert.is_true(found[1].revision > 0)
      found[1].revision = nil
      made.status, made.source = "passing", "dns"
      assert.same({ made }, found)
      assert.same({ "pds" }, backend:services())
      assert.is_true(backend:deregister("pds", "pds@edge"))
      assert.same({}, (backend:lookup "pds"))
      assert.same({}, backend:services())
      assert.is_true(backend:deregister("pds", "pds@edge"))
    end)

    test("leaves nothing behind in the zone", function()
      assert(backend:register(record(), 60))
      assert(backend:register(record { service = "With.Capitals", id = ("x"):rep(100) }, 60))
      assert(backend:deregister("pds", "pds@edge"))
      assert(backend:deregister("With.Capitals", ("x"):rep(100)))
      local transfer = table.concat(dnsd.dig(server,
        "svc.test AXFR +noall +answer -y hmac-sha256:upd:" .. dnsd.SECRET), "\n")
      assert.matches("web1", transfer)
      assert.is_nil(transfer:find("_services", 1, true))
      assert.is_nil(transfer:find("edge", 1, true))
      assert.is_nil(transfer:find("apitals", 1, true))
    end)

    for name, fields in pairs {
      ["an IPv6 address"] = { address = "2001:db8:0::7" },
      ["a host name"] = { address = "PDS.example.com" },
      ["an address with a zone"] = { address = "fe80::1%eth0" },
      ["an address that is no name"] = { address = "a..b" },
      ["no port"] = { port = 0 },
      ["an id with dots and colons"] = { id = "pds-2.a%b:c@edge" },
      ["an id of 128 bytes"] = { id = "p" .. (".x"):rep(63) .. "q" },
      ["an id with capitals"] = { id = "PDS@Edge" },
      ["a service with dots"] = { service = "p.d-s_x" },
      ["a service of 63 bytes"] = { service = ("s"):rep(63) },
      ["a service with capitals"] = { service = "PDS" },
      ["a status"] = { status = "warning" },
      ["long values"] = { did = "did:web:" .. ("d"):rep(2000),
        meta = { [("k"):rep(128)] = ("v"):rep(4096), [("="):rep(128)] = "e" } },
      ["64 tags"] = { tags = (function()
        local tags = {}
        for i = 1, 64 do tags[i] = ("%03d"):format(i) .. ("t"):rep(97) end
        return tags
      end)() },
    } do
      test("keeps " .. name, function()
        local made = record(fields)
        assert(backend:register(made, 60))
        local found = assert(backend:lookup(made.service))
        assert.equal(1, #found)
        assert.same({ made.service }, backend:services())
        for _, key in ipairs { "service", "id", "address", "did", "meta", "status" } do
          if fields[key] then assert.same(fields[key], found[1][key]) end
        end
        if fields.tags then assert.same(fields.tags, found[1].tags) end
        assert.equal(made.port ~= 0 and made.port or nil, found[1].port)
        assert(backend:renew(made.service, made.id))
        assert(backend:deregister(made.service, made.id))
        assert.same({}, (backend:lookup(made.service)))
        assert.same({}, backend:services())
      end)
    end

    test("keeps ids apart that differ in case only", function()
      assert(backend:register(record { id = "a" }))
      assert(backend:register(record { id = "A" }))
      assert.same({ "A", "a" }, ids(backend:lookup "pds"))
      assert(backend:deregister("pds", "A"))
      assert.same({ "a" }, ids(backend:lookup "pds"))
      assert(backend:deregister("pds", "a"))
    end)

    test("refuses a record that is too big, and keeps the one before", function()
      assert(backend:register(record()))
      local meta = {}
      for i = 1, 5 do meta["k" .. i] = ("v"):rep(4000) end
      fails("invalid", "too big for the DNS: %d+ bytes of text, at most 16384",
        backend:register(record { meta = meta }))
      assert.same({}, backend:lookup("pds")[1].meta)
      assert(backend:deregister("pds", "pds@edge"))
    end)

    test("is usable by an ordinary client", function()
      assert(backend:register(record { address = "192.0.2.5", port = 3001 }, 60))
      assert(backend:register(record { id = "pds@two", address = "pds.example.com" }, 60))
      local lines = dnsd.dig(server, "+short SRV _pds._tcp.svc.test")
      assert.equal(2, #lines)
      assert.equal("0 0 3000 pds.example.com.", lines[1])
      local host = lines[2]:match "^0 0 3001 (%S+)%.$"
      assert.same({ "192.0.2.5" }, dnsd.dig(server, "+short A " .. host))
      assert.matches("^pds%-edge%-%x+%.addr%.svc%.test$", host)
      local instance = "'pds@edge._pds._tcp.svc.test'"
      assert.same({ "0 0 3001 " .. host .. "." }, dnsd.dig(server, "+short SRV " .. instance))
      assert.matches('"id=pds@edge" "node=edge" "address=192.0.2.5"',
        dnsd.dig(server, "+short TXT " .. instance)[1])
      assert.same({ "_pds._tcp.svc.test." },
        dnsd.dig(server, "+short PTR _services._dns-sd._udp.svc.test"))
      assert.same({ "pds@edge", "pds@two" }, ids(backend:lookup "pds"))
      assert(backend:deregister("pds", "pds@edge"))
      assert.same({ "0 0 3000 pds.example.com." },
        dnsd.dig(server, "+short SRV _pds._tcp.svc.test"))
      assert(backend:deregister("pds", "pds@two"))
    end)

    test("reads what people and other programs wrote", function()
      local plain = assert(backend:lookup "web")
      assert.same({ "web@web1.svc.test:8080", "web@web2.svc.test:8081" }, ids(plain))
      assert.same({ "192.0.2.1", "2001:db8::2" }, { plain[1].address, plain[2].address })
      assert.same({ 8080, 8081 }, { plain[1].port, plain[2].port })
      local hand = assert(backend:lookup "hand")
      assert.same({ "hand@web1.svc.test:631" }, ids(hand))
      assert.same({ paper = "A4", color = "" }, hand[1].meta)
      assert.equal(0, hand[1].revision)
    end)

    test("keeps an instance whose text says nothing of use", function()
      local found = assert(backend:lookup "newer")
      assert.same({ "x" }, ids(found))
      assert.same({ "192.0.2.1", 5 }, { found[1].address, found[1].port })
    end)

    test("does not overwrite what is not its own", function()
      fails("exists", "pds@used%._pds%._tcp%.svc%.test is used by other records",
        backend:register(record { id = "pds@used" }))
      fails("exists", "pds@hand%._pds%._tcp%.svc%.test was not registered by orrery",
        backend:register(record { id = "pds@hand" }))
      fails("denied", "was not registered by orrery", backend:deregister("pds", "pds@hand"))
      fails("not_found", "register it again", backend:renew("pds", "pds@hand"))
      assert.equal(1, #dnsd.dig(server, "+short HINFO pds@used._pds._tcp.svc.test"))
    end)

    test("notices that the server did not do what it says it did", function()
      fails("bad_reply", "says that it has updated zone svc.test, but .*CNAME",
        backend:register(record { service = "taken" }))
      assert(backend:deregister("taken", "pds@edge"))
    end)

    test("replaces its own record, and tells by the revision whether it differs", function()
      assert(backend:register(record(), 60))
      local first, cursor = backend:lookup "pds"
      assert(backend:register(record(), 30))
      local again, same = backend:lookup "pds"
      assert.equal(first[1].revision, again[1].revision)
      assert.equal(cursor, same)
      assert(backend:register(record { port = 3001, address = "pds.example.com" }, 60))
      local changed, other = backend:lookup "pds"
      assert.is_true(changed[1].revision > first[1].revision or changed[1].port == 3001)
      assert.not_equal(cursor, other)
      assert.same({ "0 0 3001 pds.example.com." },
        dnsd.dig(server, "+short SRV _pds._tcp.svc.test"))
      assert(backend:deregister("pds", "pds@edge"))
    end)

    test("registers many at once", function()
      local left = 0
      for i = 1, 30 do
        left = left + 1
        task.spawn(function()
          assert(backend:register(record { id = "pds@" .. i, port = i }, 60))
          left = left - 1
        end)
      end
      support.wait_until(function() return left == 0 end, 120)
      assert.equal(30, #backend:lookup "pds")
      for i = 1, 30 do assert(backend:deregister("pds", "pds@" .. i)) end
      assert.same({}, backend:services())
    end)

    test("survives two who register the same id at once", function()
      local second <close> = open { dnsKeyFile = keys.upd, dnsTtl = 1 }
      local left = 2
      for port, by in pairs { [3001] = backend, [3002] = second } do
        task.spawn(function()
          local ok, message, code = by:register(record { port = port, meta = { by = port } }, 60)
          if not ok then -- it saw the other's in the place of its own
            assert.equal("exists", code)
            assert.matches("is registered by another at the same time: give one", message)
          end
          left = left - 1
        end)
      end
      support.wait_until(function() return left == 0 end, 30)
      local found = backend:lookup "pds"
      assert.equal(1, #found)
      assert.same({ ("0 0 %d pds-edge-73502eb7.addr.svc.test."):format(found[1].port) },
        dnsd.dig(server, "+short SRV _pds._tcp.svc.test"))
      assert(backend:deregister("pds", "pds@edge"))
    end)

    if kind == "bind" then -- whose default refuses more: "max-records-per-type"
      test("says where to look when the server fails", function()
        local own_dir = support.tmp()
        local own = start { dir = own_dir, limit = 3 }
        local other <close> = open { dnsResolver = own.address, dnsKeyFile = keys.upd }
        for i = 1, 3 do assert(other:register(record { id = "pds@" .. i }, 60)) end
        local answer = table.pack(other:register(record { id = "pds@4" }, 60))
        own.stop()
        fails("bad_reply", "SERVFAIL.*its log says why.*max%-records%-per%-type",
          table.unpack(answer, 1, 3))
      end)
    end

    test("reads over a hundred instances, which take TCP", function()
      local lines = {}
      for i = 1, 120 do
        local name = ("many-%d._many._tcp.svc.test"):format(i)
        lines[#lines + 1] = ("update add _many._tcp.svc.test 1 PTR %s"):format(name)
        lines[#lines + 1] = ("update add %s 1 SRV 0 0 %d web1.svc.test"):format(name, i)
        lines[#lines + 1] = ('update add %s 1 TXT "id=many-%d" "address=192.0.2.1" "%s"'):format(
          name, i, ("x"):rep(250))
        lines[#lines + 1] = ('update add _many._tcp.svc.test 1 SRV 0 0 %d web1.svc.test'):format(i)
        if i % 40 == 0 then
          local code, said = dnsd.nsupdate(server, table.concat(lines, "\n"))
          assert.equal(0, code, said)
          lines = {}
        end
      end
      local found = assert(backend:lookup "many")
      assert.equal(120, #found)
      assert.equal(#dnsd.dig(server, "+short SRV _many._tcp.svc.test"), #found)
      assert.equal(0, (dnsd.nsupdate(server, "update delete _many._tcp.svc.test")))
    end)

    -- ---- leases ----

    test("drops what has expired, and says so when it is renewed", function()
      assert(backend:register(record { id = "pds@stays" }))
      assert(backend:register(record(), 5)) -- also a busy machine looks it up before that
      local found, cursor = backend:lookup "pds"
      assert.equal(2, #found)
      found = backend:lookup("pds", cursor, 30)
      assert.same({ "pds@stays" }, ids(found))
      fails("not_found", "has expired or was removed: register it again",
        backend:renew("pds", "pds@edge"))
      assert.is_true(backend:renew("pds", "pds@stays"))
      fails("not_found", "register it again", backend:renew("pds", "pds@never"))
      assert(backend:register(record(), 60))
      assert.equal(2, #backend:lookup "pds")
      assert(backend:deregister("pds", "pds@edge"))
      assert(backend:deregister("pds", "pds@stays"))
    end)

    test("renews without a change that watchers would see", function()
      assert(backend:register(record { meta = { a = ("v"):rep(300) } }, 20))
      local _, cursor = backend:lookup "pds"
      local before = dnsd.dig(server, "+short TXT pds@edge._pds._tcp.svc.test")[1]
      time.sleep(1.1) -- expiry is told in whole seconds
      assert(backend:renew("pds", "pds@edge"))
      local after = dnsd.dig(server, "+short TXT pds@edge._pds._tcp.svc.test")[1]
      assert.not_equal(before, after)
      assert.equal(before:gsub('"exp=%d+"', ""), after:gsub('"exp=%d+"', ""))
      local found, same = backend:lookup "pds"
      assert.equal(cursor, same)
      assert.equal(("v"):rep(300), found[1].meta.a)
      assert(backend:deregister("pds", "pds@edge"))
    end)

    -- BIND gives the whole set the new lifetime, Knot the new record the old one.
    test("is shared by those who want other lifetimes", function()
      local slow <close> = open { dnsKeyFile = keys.upd, dnsTtl = 7 }
      assert(backend:register(record { service = "shared", id = "a" }, 600))
      assert(slow:register(record { service = "shared", id = "b", port = 2 }, 600))
      for _, one in ipairs { backend, slow } do
        assert.same({ "a", "b" }, ids(one:lookup "shared"))
        assert(one:renew("shared", "a"))
        assert(one:renew("shared", "b"))
      end
      assert(backend:register(record { service = "shared", id = "b", port = 3 }, 600))
      assert.same({ "a", "b" }, ids(slow:lookup "shared"))
      assert(backend:deregister("shared", "b"))
      assert(slow:deregister("shared", "a"))
      assert.same({}, (backend:lookup "shared"))
      assert.same({}, dnsd.dig(server, "+short PTR _shared._tcp.svc.test"))
    end)

    test("renewing adds again what leads to the instance", function()
      assert(backend:register(record(), 60))
      assert.equal(0, (dnsd.nsupdate(server, "update delete _pds._tcp.svc.test\nsend\n"
        .. "update delete _services._dns-sd._udp.svc.test")))
      assert.same({}, (backend:lookup "pds"))
      time.sleep(1.1)
      assert(backend:renew("pds", "pds@edge"))
      assert.same({ "pds@edge" }, ids(backend:lookup "pds"))
      assert.same({ "pds" }, backend:services())
      assert.equal(1, #dnsd.dig(server, "+short SRV _pds._tcp.svc.test"))
      assert(backend:deregister("pds", "pds@edge"))
    end)

    test("sweeps away what nobody renews, and only that", function()
      local old = os.time() - 60
      local script = {}
      for id, text in pairs { old = '"orrery=1" "id=old" "ttl=1" "exp=' .. old .. '"',
        kept = '"orrery=1" "id=kept"', foreign = '"id=foreign" "exp=' .. old .. '"' } do
        local name = id .. "._swept._tcp.svc.test"
        script[#script + 1] = ("update add _swept._tcp.svc.test 1 PTR %s"):format(name)
        script[#script + 1] = ("update add _swept._tcp.svc.test 1 SRV 0 0 1 %s.svc.test"):format(id)
        script[#script + 1] = ("update add %s 1 SRV 0 0 1 %s.svc.test"):format(name, id)
        script[#script + 1] = ("update add %s 1 TXT %s"):format(name, text)
      end
      assert.equal(0, (dnsd.nsupdate(server, table.concat(script, "\n"))))
      assert(backend:register(record { service = "swept", id = "new", address = "h.test" }, 60))
      local function srv() return dnsd.dig(server, "+short SRV _swept._tcp.svc.test") end
      support.wait_until(function() return #srv() == 3 end)
      assert.same({ "0 0 1 foreign.svc.test.", "0 0 1 kept.svc.test.", "0 0 3000 h.test." }, srv())
      assert.equal(0, (dnsd.nsupdate(server, "update delete _swept._tcp.svc.test\nsend\n"
        .. "update delete _services._dns-sd._udp.svc.test")))
    end)

    -- ---- watching ----

    test("wakes a waiting lookup after the answer's lifetime", function()
      local began, found = time.monotonic(), nil
      local _, cursor = backend:lookup "pds"
      task.spawn(function() found = { backend:lookup("pds", cursor, 30) } end)
      time.sleep(0.1)
      local second <close> = open { dnsKeyFile = keys.upd, dnsTtl = 1 }
      assert(second:register(record(), 60))
      support.wait_until(function() return found end, 20)
      assert.same({ "pds@edge" }, ids(found[1]))
      assert.is_true(time.monotonic() - began >= 0.9)
      assert(second:deregister("pds", "pds@edge"))
    end)

    test("gives the same again at the timeout", function()
      local _, cursor = backend:lookup "web"
      local began = time.monotonic()
      local found, same = backend:lookup("web", cursor, 0.3)
      local took = time.monotonic() - began
      assert.equal(2, #found)
      assert.equal(cursor, same)
      assert.is_true(took >= 0.29 and took < 10, "took " .. took)
    end)

    test("ends what waits when it is closed", function()
      local second = open {}
      local _, cursor = second:lookup "web"
      local answer
      task.spawn(function() answer = { second:lookup("web", cursor, 30) } end)
      time.sleep(0)
      second:close()
      support.wait_until(function() return answer end)
      assert.equal("closed", answer[3])
    end)

    test("can be cancelled at any moment", function()
      for i = 1, 8 do
        local handle = task.spawn(function()
          backend:register(record { id = "pds@cancelled" }, 60)
          backend:lookup "pds"
        end)
        time.sleep(i * 0.0015)
        handle:cancel()
        time.sleep(0)
      end
      -- What was cancelled may still reach the server; this comes after it.
      assert(backend:register(record { id = "pds@cancelled" }, 60))
      support.wait_until(function() -- unless the server took them in another order
        assert(backend:deregister("pds", "pds@cancelled"))
        return #assert(backend:lookup "pds") == 0
      end)
    end)

    -- ---- what is refused ----

    local function register_with(options, fields)
      local other <close> = open(options)
      return other:register(record(fields), 60)
    end

    test("says that a key is needed", function()
      fails("denied",
        "^127.0.0.1:%d+: refuses to update zone svc.test without a key: set dnsKeyFile",
        register_with {})
    end)

    test("says that the secret is wrong", function()
      fails("denied", "does not accept the signature by key upd: the secret in .*/wrong.key",
        register_with { dnsKeyFile = keys.wrong })
    end)

    test("says that the key is not known", function()
      fails("denied", "knows no key nokey with hmac%-sha256 that may update zone svc.test",
        register_with { dnsKeyFile = keys.unknown })
      fails("denied", "knows no key upd with hmac%-sha512",
        register_with { dnsKeyFile = keys.sha512 })
    end)

    test("says that the key may not", function()
      fails("denied", kind == "bind" and "refuses that key other updates zone svc.test: allow it"
        or "knows no key other with hmac%-sha256 that may update zone svc.test",
        register_with { dnsKeyFile = keys.other })
    end)

    test("says that the zone takes no updates", function()
      fails("denied", kind == "bind" and "refuses that key upd updates zone ro.test: allow it there"
        or "knows no key upd with hmac%-sha256 that may update zone ro.test",
        register_with { dnsDomain = "ro.test", dnsKeyFile = keys.upd })
    end)

    test("says that there is no such zone", function()
      local options = { dnsDomain = "nozone.test", dnsKeyFile = keys.upd }
      fails("invalid",
        "has no zone that nozone.test lies in: create the zone there, or set dnsServer",
        register_with(options))
      local other <close> = open(options)
      fails("denied", "refuses to answer for _pds._tcp.nozone.test", other:lookup "pds")
      fails("denied", "refuses to answer for _services", other:services())
    end)

    test("registers without a key where the server lets all", function()
      local other <close> = open { dnsDomain = "open.test" }
      assert(other:register(record(), 60))
      assert.same({ "pds@edge" }, ids(other:lookup "pds"))
      assert(other:renew("pds", "pds@edge"))
      assert(other:deregister("pds", "pds@edge"))
      assert.same({}, other:services())
    end)

    test("registers below a zone", function()
      local other <close> = open { dnsDomain = "Deep.Below.svc.test.", dnsKeyFile = keys.upd }
      assert(other:register(record(), 60))
      assert.same({ "pds@edge" }, ids(other:lookup "pds"))
      assert.same({}, (backend:lookup "pds"))
      assert(other:deregister("pds", "pds@edge"))
    end)

    test("only reads when told so", function()
      local other <close> = open { dnsUpdate = false, dnsKeyFile = keys.upd }
      fails("denied", "dnsUpdate is false, and so nothing can be registered",
        other:register(record(), 60))
      assert.equal(2, #other:lookup "web")
    end)

    -- ---- when the server is away ----

    test("comes back with the server", function()
      local own_dir = support.tmp()
      local own = start { dir = own_dir }
      local other <close> = open { dnsResolver = own.address, dnsKeyFile = keys.upd, dnsTtl = 1 }
      assert(other:register(record(), 600))
      local _, cursor = other:lookup "pds"
      own.kill()
      local refused = "^" .. own.address:gsub("%.", "%%.") .. ": connection refused$"
      fails("refused", refused, other:register(record(), 60))
      fails("refused", refused, other:renew("pds", "pds@edge"))
      fails("refused", refused, other:deregister("pds", "pds@edge"))
      fails("refused", refused, other:lookup "pds")
      fails("refused", refused, other:lookup("pds", cursor, 5))
      fails("refused", refused, other:services())
      own.start()
      local found, same = other:lookup "pds"
      assert.same({ "pds@edge" }, ids(found))
      assert.equal(cursor, same)
      assert.is_true(other:renew("pds", "pds@edge"))
      own.stop()
    end)

    test("tells by how much the clocks differ", function()
      local own_dir = support.tmp()
      for _, shift in ipairs { 310, -400 } do
        local own = start { dir = own_dir, shift = shift }
        local other <close> = open { dnsResolver = own.address, dnsKeyFile = keys.upd }
        local value, message, code = other:register(record(), 60)
        own.stop()
        support.remove_tree(own_dir .. "/" .. kind)
        fails("denied", "its clock %(20.*Z%) and this machine's %(20.*Z%) are %d+ s apart", value,
          message, code)
        local seconds = tonumber(message:match "are (%d+) s apart")
        assert.is_true(math.abs(seconds - math.abs(shift)) <= 30, message)
      end
    end)

    test("asks the next resolver when one is not there", function()
      local other <close> = open { dnsResolver = { "127.0.0.1:1", server.address } }
      assert.equal(2, #other:lookup "web")
      local third <close> = open { dnsResolver = "127.0.0.1:1, " .. server.address,
        dnsServer = server.address, dnsKeyFile = keys.upd }
      assert(third:register(record(), 60))
      assert(third:deregister("pds", "pds@edge"))
    end)

    test("never prints the secret", function()
      local other <close> = open { dnsKeyFile = keys.wrong }
      local _, message = other:register(record(), 60)
      assert.is_nil(message:find(dnsd.OTHER, 1, true))
      assert.is_nil(json.encode((backend:lookup "web")):find(dnsd.SECRET, 1, true))
      assert.is_string(file.read(keys.upd))
    end)
  end)
end
