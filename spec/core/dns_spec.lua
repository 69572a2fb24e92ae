require "support"
local servers = require "support.servers"
local core = require "orrery.core"

local dns, task, time = core.dns, core.task, core.time

describe("dns", function()
  local server, at

  setup(function()
    server = servers.start("name_server.py")
    at = "127.0.0.1:" .. server.ports[1]
  end)

  teardown(function() server.stop() end)

  local function fails(code, pattern, value, message, got)
    assert.is_nil(value)
    assert.equal(code, got)
    assert.matches(pattern, message)
  end

  local function ask(name, kind, options)
    options = options or {}
    options.server = options.server or at
    return dns.query(name, kind, options)
  end

  describe("resolve", function()
    it("gives an address as it is", function()
      assert.same({ "192.0.2.1" }, dns.resolve("192.0.2.1"))
      assert.same({ "2001:db8::1" }, dns.resolve("2001:db8:0::1"))
    end)

    it("knows localhost and what ends in it without a name server", function()
      for _, name in ipairs { "localhost", "LocalHost.", "pds.localhost", "a.b.localhost" } do
        assert.equal("127.0.0.1", assert(dns.resolve(name))[1])
      end
      assert.is_nil(dns.resolve("notlocalhost", { timeout = 1 }))
    end)

    it("reads the hosts file", function()
      for line in io.lines("/etc/hosts") do
        local address, name = line:match("^(%d+%.%d+%.%d+%.%d+)%s+(%S+)")
        if name and name ~= "localhost" then
          local found = table.concat(assert(dns.resolve(name)), " ")
          assert.is_truthy(found:find(address, 1, true), name .. ": " .. found)
        end
      end
    end)

    it("says that a name does not exist", function()
      fails("not_found", "no%-such%-host.invalid: no such name",
        dns.resolve("no-such-host.invalid", { timeout = 20 }))
    end)

    it("refuses what is no name", function()
      assert.is_nil(dns.resolve("", { timeout = 1 }))
      assert.is_nil(dns.resolve(("a"):rep(300), { timeout = 1 }))
      assert.is_nil(dns.resolve("a..b", { timeout = 1 }))
    end)
  end)

  describe("query", function()
    it("reads SRV records with their lifetimes", function()
      local records, ttl = ask("srv.example.test", "SRV")
      assert.same({
        { priority = 1, weight = 2, port = 3000, target = "pds.example.test", ttl = 30 },
        { priority = 0, weight = 5, port = 3001, target = "pds2.example.test", ttl = 20 },
      }, records)
      assert.equal(20, ttl)
    end)

    it("reads each text of TXT records", function()
      local records, ttl = ask("txt.example.test", "TXT")
      assert.same({
        { "did=did:plc:abc", "exp=9", ttl = 60 }, { "", ("x"):rep(255), ttl = 50 },
      }, records)
      assert.equal(50, ttl)
    end)

    it("reads addresses", function()
      assert.same({ { address = "192.0.2.7", ttl = 300 } }, (ask("a.example.test", "A")))
      assert.same({ { address = "::1", ttl = 300 } }, (ask("aaaa.example.test", "aaaa")))
    end)

    it("follows an alias, whose lifetime counts too", function()
      local records, ttl = ask("alias.example.test", "A")
      assert.same({ { address = "192.0.2.8", ttl = 300 } }, records)
      assert.equal(5, ttl)
    end)

    it("asks again by TCP when the answer did not fit", function()
      assert.equal(40, #assert(ask("big.example.test", "TXT")))
    end)

    it("asks by TCP when told to", function()
      assert.equal(2, #assert(ask("srv.example.test", "SRV", { tcp = true })))
    end)

    it("tells the answers apart that say no", function()
      fails("not_found", "no such name", ask("missing.example.test", "SRV"))
      fails("not_found", "has no SRV record", ask("empty.example.test", "SRV"))
      fails("not_found", "has no A record", ask("srv.example.test", "A"))
      fails("denied", "refused the question", ask("refuse.example.test", "A"))
      fails("bad_reply", "failed to answer", ask("fail.example.test", "A"))
    end)

    for name, kind in pairs {
      ["short-address"] = "A", ["long-data"] = "A", ["wild-pointer"] = "SRV",
      ["pointer-loop"] = "SRV", ["bad-text"] = "TXT", ["liar"] = "A",
    } do
      it("refuses a malformed answer: " .. name, function()
        local value, _, code = ask(name .. ".example.test", kind)
        assert.is_nil(value)
        assert.equal("bad_reply", code)
      end)
    end

    it("ends at its deadline", function()
      local before = time.monotonic()
      fails("timeout", "no answer from 127.0.0.1:%d+ within 0.2 s",
        ask("silent.example.test", "A", { timeout = 0.2 }))
      local took = time.monotonic() - before
      assert.is_true(took >= 0.19 and took < 20, "took " .. took)
    end)

    it("says when there is no name server", function()
      fails("refused", "no name server answers at 127.0.0.1:1",
        ask("a.example.test", "A", { server = "127.0.0.1:1", timeout = 20 }))
    end)

    it("refuses a server that is none", function()
      fails("invalid", "bad name server", ask("a.example.test", "A", { server = "not an address" }))
    end)

    it("raises for a type it does not know", function()
      assert.error_matches(function() ask("a", "MX") end, "must be A, AAAA, SRV or TXT")
    end)

    it("can be cancelled", function()
      local handle = task.spawn(ask, "silent.example.test", "A")
      time.sleep(0.02)
      handle:cancel()
      time.sleep(0)
      assert.is_true(handle:done())
    end)
  end)
end)
