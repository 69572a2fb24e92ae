local support = require "support"
local checker = require "support.checker"
local core = require "orrery.core"
local servers = require "support.servers"
local check = core.check

local function contains(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

-- The message of a failure that has come by `seconds`, and what a busy machine adds.
local function fails_within(seconds, spec)
  local begun = core.time.monotonic()
  local verdict = assert(check.run(spec))
  assert.is_false(verdict.ok, verdict.message)
  local took = core.time.monotonic() - begun
  assert.is_true(took < seconds + 15, "took " .. took .. " s: " .. verdict.message)
  return verdict.message
end

-- The message of a check that ran into its deadline.
local function times_out(spec)
  local begun = core.time.monotonic()
  local message = fails_within(spec.timeout, spec)
  assert.is_true(core.time.monotonic() - begun >= spec.timeout - 0.01, message)
  contains(message, ("timed out after %g s"):format(spec.timeout))
  return message
end

describe("a check meets", function()
  local server, folder, cert, http, https

  setup(function()
    local key
    folder = os.tmpname()
    os.remove(folder)
    assert(core.file.mkdir(folder, "0700"))
    cert, key = servers.certificate(folder, "pds.example.test")
    server = servers.start("hostile_http.py", cert, key)
    http = "http://127.0.0.1:" .. server.ports[1]
    https = "https://127.0.0.1:" .. server.ports[2]
  end)

  teardown(function()
    server.stop()
    support.remove_tree(folder)
  end)

  local function get(url, more)
    local spec = { strategy = "http", url = url, timeout = 30 }
    for key, value in pairs(more or {}) do spec[key] = value end
    return spec
  end

  local function tcp(more)
    local spec = { strategy = "tcp", port = server.ports[1], timeout = 30 }
    for key, value in pairs(more) do spec[key] = value end
    return spec
  end

  it("a certificate for another name", function()
    local url = https .. "/status/200"
    local message = fails_within(2, get(url, { tls = { ca = cert } }))
    contains(message, "GET " .. url .. ": its TLS certificate is not accepted")
    contains(message, "127.0.0.1")
    contains(fails_within(2, get(url, { tls = { ca = cert, serverName = "wrong.test" } })),
      "wrong.test")
    assert.is_true(check.run(get(url, { tls = { ca = cert, serverName = "pds.example.test" } })).ok)
  end)

  it("a certificate that nobody vouches for", function()
    local url = https .. "/status/200"
    contains(fails_within(2, get(url)), "its TLS certificate is not accepted")
    assert.is_true(check.run(get(url, { tls = { verify = false } })).ok)
  end)

  it("TLS on a port that is only connected to", function()
    local port = server.ports[2]
    local function tls(options) return tcp { port = port, tls = options } end
    local verdict = check.run(tls { ca = cert, serverName = "pds.example.test" })
    assert.same({ true, ("tcp 127.0.0.1:%d: connected with TLS"):format(port) },
      { verdict.ok, verdict.message })
    assert.is_true(check.run(tls { verify = false }).ok)
    local message = fails_within(2, tls { ca = cert })
    contains(message, ("tcp 127.0.0.1:%d: its TLS certificate is not accepted: "):format(port))
    contains(message, "127.0.0.1'")
    contains(fails_within(2, tls { ca = cert, serverName = "wrong.test" }), "wrong.test")
    contains(fails_within(2, tcp { tls = {} }), "no TLS is spoken there")
    contains(fails_within(2, tcp { port = support.free_port(), tls = {} }), "connection refused")
    local mute = io.popen("exec env -u LD_PRELOAD python3 spec/support/rude_server.py")
    local _, _, silent, pid = mute:read("n", "n", "n", "n")
    finally(function()
      os.execute("kill -9 " .. pid)
      mute:close()
    end)
    times_out(tcp { port = silent, tls = {}, timeout = 1.2 })
  end)

  it("TLS, and has something to say and to hear", function()
    local port = server.ports[2]
    local function tls(options)
      local secure = { ca = cert, serverName = "pds.example.test" }
      options.port, options.tls = port, options.tls or secure
      return tcp(options)
    end
    local function ask(path) return "GET " .. path .. " HTTP/1.1\r\n\r\n" end
    local verdict = check.run(tls { send = ask "/status/200", expect = "HTTP/1.1 200" })
    assert.same({ true, ("tcp 127.0.0.1:%d: answered as expected with TLS"):format(port) },
      { verdict.ok, verdict.message })
    assert.is_true(check.run(tls { send = ask "/status/200" }).ok)
    contains(fails_within(5, tls { send = ask "/status/200", expect = "bye" }),
      "closed the connection without the answer expected")
    contains(fails_within(5, tls { send = ask "/big", expect = "bye" }),
      "sent 64 KiB without the answer expected")
    times_out(tls { send = ask "/drip", expect = "bye", timeout = 1.2 })
    contains(fails_within(5, tls { expect = "x", tls = { ca = cert } }),
      "its TLS certificate is not accepted")
    contains(fails_within(5, tcp { tls = {}, send = "x", expect = "x" }),
      "no TLS is spoken there")
  end)

  it("a server that speaks no TLS, or nothing", function()
    contains(fails_within(2, get((http:gsub("http", "https")))), "no TLS is spoken there")
    local rude <close> = setmetatable(servers.start("full_listener.py"),
      { __close = function(s) s.stop() end })
    times_out(get("https://127.0.0.1:" .. rude.ports[1] .. "/", { timeout = 0.5 }))
  end)

  it("100 MB, in whatever form", function()
    for _, path in ipairs { "/big", "/big-chunks", "/big-head" } do
      contains(fails_within(3, get(http .. path)), "larger than")
    end
    contains(fails_within(3, tcp { send = "GET /big HTTP/1.1\r\n\r\n", expect = "bye" }),
      "sent 64 KiB without the answer expected")
  end)

  it("one byte after the other", function()
    times_out(get(http .. "/drip", { timeout = 1.2 }))
    times_out(get(http .. "/drip-head", { timeout = 1.2 }))
    times_out(tcp { send = "GET /drip HTTP/1.1\r\n\r\n", expect = "bye", timeout = 1.2 })
  end)

  it("redirects without an end, or to a file", function()
    contains(fails_within(3, get(http .. "/loop", { followRedirects = true })),
      "redirected more than 5 times")
    contains(fails_within(3, get(http .. "/to-file", { followRedirects = true })),
      "expected a URL with http:// or https://")
  end)

  it("a connection that is reset, or answers what is no HTTP", function()
    fails_within(2, get(http .. "/reset"))
    fails_within(2, get(http .. "/half-reset"))
    contains(fails_within(2, get(http .. "/garbage")), "is not HTTP")
  end)

  it("a command that says 100 MB, and leaves what has fled its group", function()
    local message = times_out { strategy = "command", timeout = 0.7,
      command = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 100' & yes 0123456789" }
    assert.is_true(#message < 300)
  end)

  it("all of them at once, again and again, and leaves no socket behind", function()
    local function descriptors() return #core.file.list("/proc/self/fd") end
    local port, tls = server.ports[2], { verify = false }
    local specs = { tcp { send = "GET /drip HTTP/1.1\r\n\r\n", expect = "bye" },
      tcp { port = port, tls = tls, send = "GET /drip HTTP/1.1\r\n\r\n", expect = "bye" },
      tcp { tls = tls }, tcp { port = support.free_port() },
      get(https .. "/drip", { tls = tls }), get(https .. "/status/200", { tls = { ca = cert } }) }
    for _, path in ipairs { "/drip", "/drip-head", "/big", "/loop", "/reset", "/garbage" } do
      specs[#specs + 1] = get(http .. path, { followRedirects = true, reuse = #specs % 2 == 0 })
    end
    local before, handles = descriptors(), {}
    for i, spec in ipairs(specs) do
      spec.timeout, spec.interval, spec.fall, spec.backoff = 0.3, 0.05, 3, "constant"
      handles[i] = check.start(spec)
    end
    for i, h in ipairs(handles) do
      local change = assert(h:next(30), specs[i].url or specs[i].port)
      assert.equal("failing", change.state)
    end
    for _, h in ipairs(handles) do h:close() end
    support.wait_until(function() return descriptors() <= before + 3 end, 10, "sockets to close")
  end)

  it("a name that no server knows", function()
    local port = support.free_port()
    for _, spec in ipairs { get("http://no-such-host.invalid:1/", { timeout = 20 }),
      { strategy = "tcp", host = "no-such-host.invalid", port = port, timeout = 20 } } do
      contains(fails_within(20, spec), "no-such-host.invalid")
    end
  end)
end)

describe("a check of a server that talks first, over TLS,", function()
  local server, folder, cert, key

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(core.file.mkdir(folder, "0700"))
    cert, key = servers.certificate(folder, "mail.example.test")
    server = servers.start("tls_server.py", cert, key)
  end)

  teardown(function()
    server.stop()
    support.remove_tree(folder)
  end)

  local function spec(port, more)
    more.strategy, more.port, more.timeout = "tcp", server.ports[port], more.timeout or 30
    return more
  end

  it("hears its greeting, and an answer that comes in pieces", function()
    local tls = { ca = cert, serverName = "mail.example.test" }
    assert.is_true(check.run(spec(1, { tls = tls, expect = "220 ready" })).ok)
    assert.is_true(check.run(spec(1, { tls = tls, send = "PING\r\n", expect = "+PONG" })).ok)
    contains(fails_within(5, spec(1, { tls = tls, send = "QUIT\r\n", expect = "+PONG" })),
      "closed the connection without the answer expected")
    times_out(spec(1, { tls = tls, expect = "250 ok", timeout = 1.2 }))
  end)

  it("shows the client certificate that it wants", function()
    local tls = { ca = cert, serverName = "mail.example.test", cert = cert, key = key }
    assert.is_true(check.run(spec(2, { tls = tls, expect = "220 ready" })).ok)
    tls.cert, tls.key = nil, nil
    fails_within(5, spec(2, { tls = tls, expect = "220 ready" }))
  end)

  it("can go on, and leaves nothing when it is stopped at any moment", function()
    local tls = { verify = false }
    local h <close> = check.start(spec(1, { tls = tls, send = "PING\r\n", expect = "+PONG",
      interval = 0.05 }))
    assert.equal("passing", h:next(50).state)
    local first = h:last().at
    support.wait_until(function() return h:last().at > first end)
    for step = 1, 10 do
      local task = core.task.spawn(check.run, spec(1, { tls = tls, expect = "250 ok" }))
      core.time.sleep(step * 0.005)
      task:cancel()
      task:join(50)
    end
  end)
end)

describe("a check whose name server is silent", function()
  local SILENT = [[import os, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.153", 53))
print(os.getpid(), flush=True)
time.sleep(1000)]]

  local function may_mount()
    return core.process.user().uid == 0
      and os.execute("env -u LD_PRELOAD unshare --mount true 2>/dev/null")
  end

  it("ends at its deadline, and says what it waited for", function()
    if not may_mount() then return pending("only root can have a resolv.conf of its own") end
    local dir = support.tmp()
    support.write(dir .. "/server.py", SILENT)
    support.write(dir .. "/resolv.conf", "nameserver 127.0.0.153\n")
    local server = io.popen("exec env -u LD_PRELOAD python3 " .. dir .. "/server.py 2>/dev/null")
    local pid = server:read("n")
    finally(function()
      if pid then os.execute("kill -9 " .. pid) end
      server:close()
    end)
    if not pid then return pending("port 53 is taken") end
    local verdicts = checker.run({
      { strategy = "http", url = "http://pds.example.test/", timeout = 0.5 },
      { strategy = "tcp", host = "pds.example.test", port = 80, timeout = 0.5 },
    }, {}, { "unshare", "--mount", "sh", "-c",
      'mount --bind "$0" /etc/resolv.conf && exec "$@"', dir .. "/resolv.conf" })
    local why = ": timed out after 0.5 s: no name server has told the address of its host"
    assert.equal("GET http://pds.example.test/" .. why, verdicts[1].message)
    assert.equal("tcp pds.example.test:80" .. why, verdicts[2].message)
    for _, verdict in ipairs(verdicts) do
      assert.is_true(verdict.latency >= 0.49 and verdict.latency < 20)
    end
  end)
end)
