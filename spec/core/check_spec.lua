local support = require "support"
local core = require "orrery.core"
local check, time, task = core.check, core.time, core.task

local server, http, banner, silent, server_pid

setup(function()
  server = assert(io.popen("exec env -u LD_PRELOAD python3 spec/support/rude_server.py", "r"))
  http, banner, silent, server_pid = server:read("n", "n", "n", "n")
  assert(server_pid, "the rude server did not start")
end)

teardown(function()
  os.execute("kill -9 " .. server_pid)
  server:close()
end)

local function url(path) return ("http://127.0.0.1:%d%s"):format(http, path) end

-- Runs a check once and returns its verdict; it must have come by `timeout` (and what a busy
-- machine adds).
local function run(spec)
  local start = time.monotonic()
  local verdict = assert(check.run(spec))
  local took = time.monotonic() - start
  assert.is_true(took < (spec.timeout or 30) + 15, "took " .. took)
  assert.is_true(verdict.latency >= 0 and verdict.latency <= took + 0.001)
  return verdict
end

local function passes(spec)
  local verdict = run(spec)
  assert.is_true(verdict.ok, verdict.message)
  return verdict.message
end

local function fails(spec)
  local verdict = run(spec)
  assert.is_false(verdict.ok, verdict.message)
  return verdict.message
end

-- A check that runs into its deadline, and not before it.
local function times_out(spec)
  local verdict = run(spec)
  assert.is_false(verdict.ok)
  assert.is_true(verdict.latency >= spec.timeout - 0.01, "ended early: " .. verdict.message)
  return verdict.message
end

local function contains(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

describe("a file check", function()
  local dir, path
  before_each(function()
    dir = support.tmp()
    path = dir .. "/f"
  end)

  local function file(options)
    options.strategy = "file"
    options.path = options.path or path
    return options
  end

  it("wants the path to exist", function()
    assert.equal(path .. " does not exist", fails(file {}))
    support.write(path, "text")
    passes(file {})
    passes(file { path = dir })
  end)

  it("wants the size and the age asked for", function()
    support.write(path, "12345")
    passes(file { minSize = 5, maxAge = 60 })
    assert.equal(path .. " has 5 bytes, expected at least 6", fails(file { minSize = 6 }))
    os.execute("touch -d '1 hour ago' " .. path)
    contains(fails(file { maxAge = 60 }), "ago, expected at most 60 s")
  end)

  it("searches its text, across the chunks it reads", function()
    support.write(path, ("x"):rep(64 * 1024 - 3) .. "needle" .. ("y"):rep(100000))
    passes(file { contains = "needle" })
    passes(file { contains = "needley" })
    assert.equal(path .. ' does not contain "needles"', fails(file { contains = "needles" }))
    contains(fails(file { path = dir, contains = "x" }), "it is no regular file")
  end)

  it("does not hang at a pipe", function()
    os.execute("mkfifo " .. path)
    contains(fails(file { contains = "x", timeout = 5 }), "it is no regular file")
  end)

  it("wants free space", function()
    passes(file { path = dir, minFree = 1 })
    contains(fails(file { path = dir, minFree = math.maxinteger }), "bytes free, expected at least")
  end)

  it("asks the system whether a user may write", function()
    if core.file.stat(dir).uid ~= 0 then return pending("only root can be another user") end
    os.execute("cd " .. dir .. " && chmod go+x .. . && mkdir own && chown nobody own")
    passes(file { path = dir, writable = true })
    passes(file { path = dir .. "/own", writable = true, user = "nobody" })
    assert.equal(dir .. " is not writable by user nobody: permission denied",
      fails(file { path = dir, writable = true, user = "nobody" }))
    os.execute("chmod 700 " .. dir)
    contains(fails(file { path = dir .. "/own", writable = true, user = "nobody" }), "denied")
    passes(file { path = dir .. "/own", writable = true }) -- root is root again
  end)
end)

describe("an http check", function()
  local function get(path, options)
    options = options or {}
    options.strategy, options.url = "http", url(path)
    return options
  end

  it("passes with 200 and nothing else by default", function()
    assert.equal("GET " .. url("/ok") .. " answered 200", passes(get "/ok"))
    assert.equal("GET " .. url("/status/503") .. " answered 503, expected 200",
      fails(get "/status/503"))
    contains(fails(get "/status/204"), "answered 204, expected 200")
    contains(fails(get "/redirect"), "answered 302, expected 200")
  end)

  it("takes ranges and lists of status codes", function()
    passes(get("/status/204", { expectedStatus = "200-299" }))
    passes(get("/status/401", { expectedStatus = { 200, "401-403" } }))
    passes(get("/status/404", { expectedStatus = "200, 404" }))
    assert.equal("GET " .. url("/status/500") .. " answered 500, expected 200-299 or 401",
      fails(get("/status/500", { expectedStatus = { "200-299", 401 } })))
  end)

  it("is put together from host, port and endpoint", function()
    passes { strategy = "http", port = http, endpoint = "/ok" }
    passes { strategy = "http", host = "localhost", port = http, endpoint = "ok", scheme = "http" }
  end)

  it("sends the method, headers and body asked for", function()
    passes(get("/echo", {
      method = "PUT", headers = { ["X-Token"] = "abc" }, body = "ping",
      expectJson = { ["/method"] = "PUT", ["/headers/x-token"] = "abc", ["/body"] = "ping" },
    }))
    passes(get("/echo", { body = "{}", expectJson = { ["/method"] = "POST" } }))
  end)

  it("says who asks, unless it is told to say something else", function()
    passes(get("/echo", { expectJson = { ["/headers/user-agent"] = "orrery/" .. core.version,
      ["/headers/connection"] = "close" } }))
    passes(get("/echo", { headers = { ["user-agent"] = "probe" },
      expectJson = { ["/headers/user-agent"] = "probe" } }))
  end)

  it("looks at the body", function()
    passes(get("/ok", { expectBody = "ell" }))
    contains(fails(get("/ok", { expectBody = "bye" })), 'answered 200, without "bye" in its body')
    passes(get("/json", { expectJson = {
      ["/version"] = "1.2", ["/a~1b/0"] = 1, ["/n"] = 2.5, ["/up"] = true,
    } }))
    contains(fails(get("/json", { expectJson = { ["/version"] = "1.3" } })),
      'answered JSON in which "/version" is "1.2", expected "1.3"')
    contains(fails(get("/json", { expectJson = { ["/a~1b/7"] = 1 } })), "is missing, expected 1")
    contains(fails(get("/ok", { expectJson = { ["/a"] = 1 } })), "answered what is not JSON")
  end)

  it("follows redirects when asked, but not for ever", function()
    passes(get("/redirect", { followRedirects = true }))
    contains(fails(get("/loop", { followRedirects = true, timeout = 10 })), "redirected more than")
  end)

  it("tells a refused connection from a name that is not there", function()
    local port = support.free_port()
    local refused = ("http://127.0.0.1:%d/xrpc/_health"):format(port)
    assert.equal("GET " .. refused .. ": connection refused",
      fails { strategy = "http", url = refused })
    contains(fails { strategy = "http", url = "http://no-such-host.invalid/", timeout = 1 },
      "no-such-host.invalid")
  end)

  it("ends at its deadline, however slow the answer", function()
    assert.equal("GET " .. url("/hang") .. ": timed out after 0.3 s",
      times_out(get("/hang", { timeout = 0.3 })))
    contains(times_out(get("/hang", { timeout = 2.3 })), "timed out after 2.3 s")
    contains(times_out(get("/drip", { timeout = 1.3 })), "timed out after 1.3 s")
    contains(times_out(get("/drip-body", { timeout = 1.3 })), "timed out after 1.3 s")
  end)

  it("stops reading a huge body", function()
    contains(fails(get("/big", { timeout = 10 })), "larger than")
    contains(fails(get("/ok", { maxBytes = 2 })), "larger than 2 bytes")
  end)

  it("fails when the answer is cut off", function()
    contains(fails(get "/cut"), "GET " .. url("/cut") .. ": ")
  end)

  it("shows neither password nor query", function()
    local message = passes { strategy = "http",
      url = ("http://me:hunter2@127.0.0.1:%d/ok?token=s3cret"):format(http) }
    assert.equal("GET " .. url("/ok") .. " answered 200", message)
    message = fails { strategy = "http",
      url = ("http://me:hunter2@127.0.0.1:%d/ok?token=s3cret"):format(support.free_port()) }
    assert.is_nil(message:find("hunter2", 1, true))
    assert.is_nil(message:find("s3cret", 1, true))
  end)
end)

describe("a tcp check", function()
  local function tcp(port, options)
    options = options or {}
    options.strategy, options.port = "tcp", port
    return options
  end

  it("passes when something accepts", function()
    assert.equal(("tcp 127.0.0.1:%d: connected"):format(silent), passes(tcp(silent)))
    passes(tcp(silent, { host = "localhost" }))
  end)

  it("fails when nothing listens", function()
    local port = support.free_port()
    assert.equal(("tcp 127.0.0.1:%d: connection refused"):format(port), fails(tcp(port)))
    local name = "no-such-host.invalid"
    contains(fails(tcp(port, { host = name, timeout = 1 })), name)
  end)

  it("sends and expects", function()
    passes(tcp(banner, { expect = "220 ready" }))
    passes(tcp(banner, { send = "PING\r\n", expect = "+PONG" }))
    passes(tcp(silent, { send = "PING\r\n" }))
    contains(times_out(tcp(banner, { send = "X", expect = "+PONG", timeout = 0.3 })),
      "timed out after 0.3 s")
    contains(times_out(tcp(silent, { expect = "hello", timeout = 0.3 })), "timed out after 0.3 s")
    contains(times_out(tcp(silent, { expect = "hello", timeout = 2.3 })), "timed out after 2.3 s")
    contains(fails(tcp(http, { send = "GET /ok HTTP/1.1\r\n\r\n", expect = "bye" })),
      "closed the connection without the answer expected")
  end)
end)

describe("a command check", function()
  local function command(text, options)
    options = options or {}
    options.strategy, options.command = "command", text
    return options
  end

  it("wants the exit code expected", function()
    passes(command { "true" })
    passes(command("exit 3", { expectedExit = 3 }))
    assert.equal("exit code 1", fails(command { "false" }))
  end)

  it("tells the end of what the command said", function()
    assert.equal("exit code 2: no such table", fails(command "echo no such table >&2; exit 2"))
    assert.equal("exit code 2: last words", fails(command "echo; echo last words; exit 2"))
    local message = fails(command "yes 0123456789 | head -c 100000; exit 1")
    assert.is_true(#message < 300)
  end)

  it("sets environment and folder", function()
    local dir = support.tmp()
    passes(command('test "$NAME" = value && test "$PWD" = ' .. dir,
      { env = { NAME = "value" }, cwd = dir }))
  end)

  it("says what cannot be started", function()
    contains(fails(command { "/no/such/program" }), "/no/such/program")
  end)

  it("tells a signal", function()
    contains(fails(command "kill -SEGV $$"), "killed by signal SIGSEGV")
  end)

  -- support's after_each fails the test if a grandchild is left.
  it("kills the whole tree at the deadline, even if it ignores SIGTERM", function()
    local message = times_out(command(
      "trap '' TERM; echo waiting; (trap '' TERM; sleep 100) & sleep 100", { timeout = 2 }))
    assert.equal("timed out after 2 s: waiting", message)
  end)
end)

describe("check.start", function()
  local dir, flag
  before_each(function()
    dir = support.tmp()
    flag = dir .. "/flag"
  end)

  local function start(options)
    options.strategy = "file"
    options.path = flag
    options.interval = options.interval or 0.02
    return check.start(options)
  end

  it("tells the first verdict and every change", function()
    local h <close> = start { fall = 2 }
    assert.same({ state = "unknown", latency = 0 }, h:state())
    assert.is_nil(h:last())
    local change = h:next(50)
    assert.equal("failing", change.state)
    assert.equal(flag .. " does not exist", change.message)
    support.write(flag, "")
    assert.equal("passing", h:next(50).state)
    assert.equal("passing", h:state().state)
    assert.is_true(h:last().ok)
    assert.is_true(math.abs(h:last().at - time.now()) < 60)
    os.remove(flag)
    assert.equal("failing", h:next(50).state)
    assert.same({ nil, "timed out", "timeout" }, { h:next(0.1) })
  end)

  it("keeps changes until they are asked for", function()
    local h <close> = start { fall = 1 }
    support.wait_until(function() return h:state().state == "failing" end)
    support.write(flag, "")
    support.wait_until(function() return h:state().state == "passing" end)
    assert.equal("failing", h:next(0).state)
    assert.equal("passing", h:next(0).state)
    assert.same({ nil, "timed out", "timeout" }, { h:next(0) })
  end)

  it("waits for `rise` passes and `fall` failures in a row", function()
    local counts = dir .. "/count"
    local h <close> = check.start { strategy = "command", interval = 0.02, rise = 3, fall = 2,
      command = ("echo >>%s; test $(wc -l <%s) -lt 6"):format(counts, counts) }
    assert.equal("passing", h:next(50).state)
    local _, passed = support.read(counts):gsub("\n", "")
    assert.equal(3, passed)
    assert.equal("failing", h:next(50).state)
    local _, failed = support.read(counts):gsub("\n", "")
    assert.equal(7, failed)
  end)

  it("does not count failures while the start period runs", function()
    local begun = time.monotonic()
    local h <close> = start { fall = 1, startPeriod = 0.4 }
    assert.equal("failing", h:next(50).state)
    assert.is_true(time.monotonic() - begun >= 0.399) -- a check counts in whole milliseconds
  end)

  it("counts failures in the start period once it has passed", function()
    support.write(flag, "")
    local h <close> = start { fall = 1, startPeriod = 60 }
    assert.equal("passing", h:next(50).state)
    os.remove(flag)
    assert.equal("failing", h:next(50).state)
  end)

  it("notices a start long before its interval is over", function()
    local h <close> = start { interval = 60, fall = 1 }
    assert.equal("failing", h:next(50).state)
    support.write(flag, "")
    assert.equal("passing", h:next(50).state)
  end)

  it("waits its interval once it has passed", function()
    support.write(flag, "")
    local h <close> = start { interval = 0.4, fall = 1 }
    assert.equal("passing", h:next(50).state)
    local first = h:last().at
    for _ = 1, 3 do -- one may be late, and the next one then earlier after it
      local last = h:last().at
      support.wait_until(function() return h:last().at > last end)
    end
    assert.is_true(h:last().at - first > 0.8)
  end)

  it("flaps, and calms down", function()
    local counts = dir .. "/count"
    local h <close> = check.start { strategy = "command", interval = 0.01, rise = 1, fall = 1,
      command = ("echo >>%s; n=$(wc -l <%s); test $n -gt 12 || test $((n %% 2)) = 0"):format(
        counts, counts) }
    local seen = {}
    repeat table.insert(seen, h:next(50).state) until seen[#seen] == "flapping"
    assert.equal("passing", h:next(50).state)
    assert.is_true(#seen > 3)
  end)

  it("voids what ran while the loop stood still", function()
    local h <close> = check.start { strategy = "tcp", port = banner, send = "SLOW\r\n",
      expect = "+PONG", interval = 0.05, timeout = 2, fall = 1 }
    assert.equal("passing", h:next(50).state)
    for _ = 1, 2 do -- a try runs nearly always
      local wake = time.monotonic() + 2.2
      repeat until time.monotonic() >= wake -- nothing is read meanwhile, and deadlines pass
      assert.same({ nil, "timed out", "timeout" }, { h:next(0.45) })
    end
    local now = time.now()
    support.wait_until(function() return h:last().at > now end, 10, "a verdict that counts")
  end)

  it("can be closed while a try runs, and while somebody waits", function()
    local h = check.start { strategy = "http", url = url("/hang"), timeout = 20 }
    local waiting = task.spawn(function() return h:next() end)
    time.sleep(0.2)
    h:close()
    assert.same({ nil, "closed", "closed" }, { waiting:join(50) })
    assert.same({ nil, "closed", "closed" }, { h:next() })
    assert.same({ nil, "closed", "closed" }, { h:state() })
    h:close()
    h = check.start { strategy = "command", command = "sleep 100" }
    time.sleep(0.2)
    h:close()
  end)

  it("lets a waiting task be cancelled", function()
    local h <close> = start { interval = 60, fall = 9 }
    local waiting = task.spawn(function() return h:next() end)
    time.sleep(0.05)
    waiting:cancel()
    assert.is_nil((waiting:join(50)))
    assert.same({ nil, "timed out", "timeout" }, { h:next(0) })
    local one = task.spawn(function()
      return check.run { strategy = "http", url = url("/hang") }
    end)
    time.sleep(0.05)
    one:cancel()
    assert.is_nil((one:join(50)))
  end)

  it("is collected when nobody holds it", function()
    start { interval = 0.02 }
    collectgarbage()
    collectgarbage()
  end)

  it("holds 1,000 checks", function()
    local handles = {}
    for i = 1, 1000 do
      handles[i] = check.start { strategy = "tcp", port = silent, interval = 60 }
    end
    for i = 1, 1000 do assert.equal("passing", handles[i]:next(50).state) end
    for i = 1, 1000 do handles[i]:close() end
  end)

  it("runs no more at once than there is room, and gives each its whole time", function()
    local handles, begun = {}, time.monotonic()
    for i = 1, 300 do -- there is room for 256
      handles[i] = check.start { strategy = "tcp", port = silent, expect = "x", timeout = 0.6,
        interval = 60, fall = 1 }
    end
    for i = 1, 300 do
      local change = handles[i]:next(50)
      assert.equal(("tcp 127.0.0.1:%d: timed out after 0.6 s"):format(silent), change.message)
      assert.is_true(change.latency >= 0.595 and change.latency < 20)
    end
    assert.is_true(time.monotonic() - begun >= 1.1)
    for i = 1, 300 do handles[i]:close() end
  end)
end)

describe("a bad check", function()
  local function refused(spec, part)
    for _, name in ipairs { "run", "start" } do
      local ok, message = pcall(check[name], spec)
      assert.is_false(ok)
      contains(message, part)
    end
  end

  it("raises, naming the key", function()
    refused({}, "strategy: is missing")
    refused({ strategy = "magic" }, 'strategy: "magic"')
    refused({ strategy = "tcp", port = 1, prot = 2 },
      'prot: is no option of a check with strategy "tcp"')
    refused({ strategy = "tcp" }, "port: is missing")
    refused({ strategy = "tcp", port = 70000 }, "port: must be a whole number from 1 to 65535")
    refused({ strategy = "tcp", port = "5432" }, "port: expected a number, got a string")
    refused({ strategy = "http" }, "url: is missing")
    refused({ strategy = "http", port = 3000 }, "endpoint")
    refused({ strategy = "http", url = "ftp://x/" }, "url: must begin with http:// or https://")
    refused({ strategy = "http", url = "http://x/", expectedStatus = "20x" }, "expectedStatus")
    refused({ strategy = "http", url = "http://x/", expectedStatus = { 700 } }, "expectedStatus")
    refused({ strategy = "http", url = "http://x/", expectedStatus = 1e300 }, "expectedStatus")
    refused({ strategy = "http", url = "http://x/", expectedStatus = 200.5 }, "expectedStatus")
    refused({ strategy = "http", url = "http://x/", expectJson = { a = 1 } }, "expectJson")
    refused({ strategy = "http", url = "http://x/", tls = { verfy = false } }, "tls")
    refused({ strategy = "command" }, "command: is missing")
    refused({ strategy = "command", command = {} }, "command: ")
    refused({ strategy = "file" }, "path: is missing")
    refused({ strategy = "file", path = "/", user = "no-such-user" }, "user: ")
    refused({ strategy = "file", path = "/", interval = 0 }, "interval: must be at least")
    refused({ strategy = "file", path = "/", timeout = -1 }, "timeout: must be from 0")
    refused({ strategy = "file", path = "/", rise = 1.5 }, "rise: must be a whole number")
    refused({ strategy = "file", path = "/", backoff = "fast" }, "backoff: ")
    refused({ strategy = "file", path = print }, "function")
  end)
end)

describe("check.health", function()
  local function feed(options, verdicts)
    local h, states = check.health(options), {}
    for sign in verdicts:gmatch(".") do
      table.insert(states, ((h:feed(sign == "+", sign == "e")):sub(1, 2)))
    end
    return table.concat(states, " ")
  end

  it("changes sides after rise passes and fall failures in a row", function()
    assert.equal("pa pa pa fa pa", feed(nil, "+---+"))
    assert.equal("un un pa pa pa fa fa", feed({ rise = 2, fall = 2 }, "-+++---"))
    assert.equal("un un un un un pa", feed({ rise = 2, fall = 2 }, "+-+-++"))
  end)

  it("excuses failures until the first pass", function()
    assert.equal("un un pa fa", feed({ fall = 1 }, "ee+e"))
  end)

  it("calls what keeps changing sides flapping, until it is steady", function()
    local states = feed({ fall = 1 }, ("+-"):rep(4) .. ("+"):rep(25))
    assert.equal("pa fa pa fa pa fl fl fl", states:sub(1, 23))
    assert.equal("pa", states:sub(-2))
  end)
end)

describe("check.backoff", function()
  it("grows as it is told, up to its maximum", function()
    local function delays(kind)
      local list = {}
      for attempt = 0, 5 do
        local options = { kind = kind, first = 0.5, max = 6, jitter = 0 }
        list[attempt + 1] = check.backoff(options, attempt)
      end
      return list
    end
    assert.same({ 0.5, 1.0, 2.0, 4.0, 6.0, 6.0 }, delays "exponential")
    assert.same({ 0.5, 1.0, 1.5, 2.0, 2.5, 3.0 }, delays "linear")
    assert.same({ 0.5, 0.5, 0.5, 0.5, 0.5, 0.5 }, delays "constant")
  end)

  it("does not overflow", function()
    for _, kind in ipairs { "exponential", "linear" } do
      local options = { kind = kind, first = 1e8, max = 60, jitter = 0 }
      assert.equal(60, check.backoff(options, 0x7fffffff))
    end
  end)

  it("takes away by chance, at most its jitter", function()
    local b = { first = 1, max = 60, jitter = 0.5 }
    assert.equal(1, check.backoff(b, 0, 0))
    assert.equal(0.75, check.backoff(b, 0, 0.5))
    assert.error_matches(function() check.backoff(b, 0, 1) end, "below 1")
    assert.error_matches(function() check.backoff({ kind = "odd" }, 0) end, "kind")
  end)
end)
