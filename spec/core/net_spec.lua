require "support"
local servers = require "support.servers"
local core = require "orrery.core"

local net, task, time = core.net, core.task, core.time

describe("net", function()
  local server, port

  setup(function()
    server = servers.start("hostile_http.py")
    port = server.ports[1]
  end)

  teardown(function() server.stop() end)

  local function fails(code, pattern, value, message, got)
    assert.is_nil(value)
    assert.equal(code, got)
    assert.matches(pattern, message)
  end

  describe("connect", function()
    it("is true when somebody listens", function()
      assert.is_true(net.connect("127.0.0.1", port))
      assert.is_true(net.connect("localhost", port, { timeout = 20 }))
    end)

    it("says who refused", function()
      local free = net.free_port()
      fails("refused", "^127.0.0.1:" .. free .. ": connection refused$",
        net.connect("127.0.0.1", free))
      fails("refused", "^localhost:" .. free, net.connect("localhost", free))
    end)

    it("says that a host does not exist", function()
      fails("not_found", "no such name", net.connect("no-such-host.invalid", 1, { timeout = 20 }))
    end)

    it("raises for what is no port", function()
      assert.error_matches(function() net.connect("127.0.0.1", 0) end, "port from 1 to 65535")
      assert.error_matches(function() net.connect("127.0.0.1", 65536) end, "port from 1 to 65535")
    end)

    it("can be cancelled at any time", function()
      for _, host in ipairs { "127.0.0.1", "localhost", "no-such-host.invalid" } do
        local handle = task.spawn(net.connect, host, port)
        time.sleep(0)
        handle:cancel()
        time.sleep(0)
        assert.is_true(handle:done())
      end
    end)

    it("ends at its deadline when the host is silent", function()
      -- A listening socket whose queue is full drops what comes: nobody accepts.
      local full = servers.start("full_listener.py")
      local before = time.monotonic()
      local value, message, code = net.connect("127.0.0.1", full.ports[1], { timeout = 0.2 })
      local took = time.monotonic() - before
      full.stop()
      fails("timeout", "no connection within 0.2 s", value, message, code)
      assert.is_true(took >= 0.19 and took < 20, "took " .. took)
    end)
  end)

  describe("ports", function()
    it("can be bound when free, not when somebody listens", function()
      assert.is_true(net.can_bind("127.0.0.1", net.free_port()))
      fails("exists", "cannot bind 127.0.0.1 port " .. port, net.can_bind("127.0.0.1", port))
      fails("exists", "cannot bind 0.0.0.0", net.can_bind("0.0.0.0", port))
    end)

    it("are told for an address that is not ours, or none", function()
      assert.is_nil(net.can_bind("192.0.2.1", 8080))
      fails("invalid", "expected an IP address", net.can_bind("localhost", 8080))
    end)

    it("that are free differ from those in use", function()
      local free = net.free_port("127.0.0.1")
      assert.is_true(free > 0 and free ~= port)
    end)
  end)

  describe("listener", function()
    it("names the process that listens", function()
      local found = assert(net.listener(port))
      assert.equal(server.pid, found.pid)
      assert.matches("^python3", found.name)
    end)

    it("is nil when nobody does", function() assert.is_nil(net.listener(net.free_port())) end)
  end)
end)
