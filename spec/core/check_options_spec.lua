-- Options of checks that need a server or a schedule of their own; the others are in check_spec.
local support = require "support"
local core = require "orrery.core"
local servers = require "support.servers"

local check, time = core.check, core.time

local function verdict_of(spec)
  spec.timeout = spec.timeout or 10
  return assert(check.run(spec))
end

local function passes(spec)
  local verdict = verdict_of(spec)
  assert.is_true(verdict.ok, verdict.message)
end

local function fails(spec)
  local verdict = verdict_of(spec)
  assert.is_false(verdict.ok, verdict.message)
  return verdict.message
end

describe("an http check", function()
  local server, folder, cert, key

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(core.file.mkdir(folder, "0700"))
    cert, key = servers.certificate(folder, "pds.example.test")
    server = servers.start("keep_server.py", cert, key, folder .. "/socket")
  end)

  teardown(function()
    server.stop()
    support.remove_tree(folder)
  end)

  -- Passes if the answer is that many requests old on its connection.
  local function nth(number, more)
    local spec = { strategy = "http", port = server.ports[1], endpoint = "/",
      expectJson = { ["/requests"] = number } }
    for name, value in pairs(more or {}) do spec[name] = value end
    return spec
  end

  it("takes a fresh connection, unless it may reuse one", function()
    passes(nth(1, { reuse = true }))
    passes(nth(2, { reuse = true }))
    passes(nth(1))
    passes(nth(1))
  end)

  it("notices that a kept connection was closed meanwhile", function()
    -- which the server does after this answer: nothing tells us but the next request
    passes(nth(1, { reuse = true, host = "localhost", endpoint = "/close" }))
    passes(nth(1, { reuse = true, host = "localhost" }))
    passes(nth(2, { reuse = true, host = "localhost" }))
  end)

  it("goes over a Unix socket", function()
    passes(nth(1, { unixSocket = folder .. "/socket" }))
    assert.truthy(fails(nth(1, { unixSocket = folder .. "/none" })):find("/none", 1, true))
  end)

  it("shows the client certificate that a server wants", function()
    local tls = { ca = cert, serverName = "pds.example.test", cert = cert, key = key }
    local mine = { port = server.ports[2], scheme = "https", tls = tls }
    passes(nth(1, mine))
    passes(nth(1, mine))
    tls.cert, tls.key = nil, nil
    fails(nth(1, mine))
  end)

  it("of many kinds in turn never takes what another was told", function()
    local tls = { ca = cert, serverName = "pds.example.test", cert = cert, key = key }
    for _ = 1, 3 do
      passes(nth(1, { unixSocket = folder .. "/socket" }))
      passes(nth(1))
      fails(nth(1, { method = "POST", body = "x" }))
      passes(nth(1, { headers = { ["X-A"] = "b" } }))
      fails(nth(1, { method = "HEAD" }))
      passes(nth(1, { port = server.ports[2], scheme = "https", tls = tls }))
      fails(nth(1, { port = server.ports[2], scheme = "https" }))
      passes(nth(1, { url = ("http://me:secret@127.0.0.1:%d/x/../y?z"):format(server.ports[1]) }))
    end
  end)
end)

describe("a command check", function()
  it("runs as the user it is told", function()
    if core.process.user().uid ~= 0 then return pending("only root can be another user") end
    passes { strategy = "command", command = 'test "$(id -un)" = nobody', user = "nobody",
      cwd = "/" }
    local message = fails { strategy = "command", command = "true", user = "no-such-user" }
    assert.truthy(message:find("no-such-user", 1, true), message)
  end)
end)

describe("the schedule of a check", function()
  -- Seconds until `fall` tries have failed.
  local function until_failing(options)
    local spec = { strategy = "file", path = "/no/such/path" }
    for name, value in pairs(options) do spec[name] = value end
    local h <close> = check.start(spec)
    local begun = time.monotonic()
    assert.equal("failing", assert(h:next(50)).state)
    return time.monotonic() - begun
  end

  it("spaces tries as `backoff` says until one passes", function()
    assert.is_true(until_failing { backoff = "constant", interval = 0.4, fall = 3 } >= 0.7)
    assert.is_true(until_failing { backoff = "linear", interval = 60, fall = 4 } >= 0.5)
    local exponential = until_failing { interval = 60, fall = 5 } -- 0.1 + 0.2 + 0.4 + 0.8 s
    assert.is_true(exponential >= 1.3 and exponential < 20)
  end)

  it("spreads tries over the interval", function()
    local dir, handles = support.tmp(), {}
    for i = 1, 60 do
      local path = support.write(("%s/%d"):format(dir, i), "")
      handles[i] = check.start { strategy = "file", path = path, interval = 1 }
    end
    for _, h in ipairs(handles) do assert.equal("passing", assert(h:next(50)).state) end
    local function start_of(h) return h:last().at - h:last().latency end
    local first, places = {}, {}
    for i, h in ipairs(handles) do first[i] = start_of(h) end
    for i, h in ipairs(handles) do
      support.wait_until(function() return start_of(h) > first[i] + 0.3 end)
      places[i] = start_of(h) % 1
    end
    local quarters, count = {}, 0
    for _, place in ipairs(places) do
      local quarter = math.floor(place * 4)
      count = count + (quarters[quarter] and 0 or 1)
      quarters[quarter] = true
    end
    assert.is_true(count >= 2, "all at the same place")
    for _, h in ipairs(handles) do h:close() end
  end)
end)

describe("a check that ran before", function()
  it("is made anew of what its table says now", function()
    local dir = support.tmp()
    support.write(dir .. "/f", "text")
    local spec = { strategy = "file", path = dir .. "/f" }
    for _ = 1, 2 do passes(spec) end
    spec.path = dir .. "/none"
    assert.matches("none", fails(spec))
    spec.path = dir .. "/f"
    spec.contains = "other"
    for _ = 1, 2 do fails(spec) end
    spec.contains = 5
    assert.has_error(function() check.run(spec) end,
      "bad check: contains: expected a string, got a number")
    spec.contains = "text"
    passes(spec)
  end)

  it("is not that of another with the same options but for those inside", function()
    local dir = support.tmp()
    local spec = { strategy = "command", command = { "sh", "-c", "exit $CODE" },
      env = { CODE = "0" } }
    for _ = 1, 2 do passes(spec) end
    spec.env.CODE = "3"
    assert.matches("3", fails(spec))
    spec.env = { CODE = "0" }
    spec.cwd = dir
    passes(spec)
  end)

  it("runs many times at once", function()
    local dir, tasks = support.tmp(), {}
    support.write(dir .. "/f", "text")
    local spec = { strategy = "file", path = dir .. "/f", timeout = 20 }
    for i = 1, 200 do
      tasks[i] = core.task.spawn(function()
        if i == 100 then spec.path = dir .. "/none" end -- the others hold what they began with
        return check.run(spec).ok
      end)
    end
    local passed = 0
    for _, task in ipairs(tasks) do passed = passed + (task:join() and 1 or 0) end
    assert.equal(99, passed)
  end)
end)
