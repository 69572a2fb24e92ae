local support = require "support"
local core = require "orrery.core"

local http, task, time = core.http, core.task, core.time

local open = {} -- closed after each test

-- Answers every request by handler(request) until the test ends.
local function serve(options, handler)
  local server = assert(http.serve(options))
  open[#open + 1] = server
  task.spawn(function()
    while true do
      local request = server:accept()
      if not request then return end
      handler(request)
    end
  end)
end

describe("http.serve", function()
  local path

  before_each(function() path = support.tmp() .. "/api.sock" end)

  after_each(function()
    for _, server in ipairs(open) do server:close() end
    open = {}
  end)

  local function get(target, options)
    options = options or {}
    options.unixSocket = path
    return http.get("http://agent" .. target, options)
  end

  it("hands over the whole request", function()
    serve({ path = path }, function(request)
      request:respond(200, { ["Content-Type"] = "text/plain", ["X-Empty"] = "" }, table.concat({
        request.method, request.path, request.query.a, request.query["b c"], request.query.flag,
        request.headers["x-some"], request.body, math.type(request.peer.uid),
        math.type(request.peer.pid),
      }, "|"))
    end)
    local answer = assert(http.request {
      method = "POST", url = "http://agent/v1/a%20b?a=1%262&b%20c=3&flag", unixSocket = path,
      body = "x\0y", headers = { ["X-Some"] = "thing" },
    })
    assert.equal(200, answer.status)
    assert.equal("POST|/v1/a b|1&2|3||thing|x\0y|integer|integer", answer.body)
    assert.equal("text/plain", answer.headers["content-type"])
  end)

  it("answers many at once, in any order", function()
    serve({ path = path }, function(request)
      task.spawn(function()
        time.sleep(math.random() / 20)
        request:respond(200, nil, request.query.n)
      end)
    end)
    local handles = {}
    for n = 1, 60 do handles[n] = task.spawn(get, "/?n=" .. n) end
    for n, handle in ipairs(handles) do assert.equal(tostring(n), handle:join(50).body) end
  end)

  it("keeps requests until they are accepted", function()
    local server <close> = assert(http.serve { path = path })
    local client = task.spawn(get, "/late")
    time.sleep(0.02)
    local request = server:accept()
    assert.equal("/late", request.path)
    request:respond(204)
    assert.equal(204, client:join(50).status)
  end)

  it("lets nobody but its owner see the socket, whatever the umask", function()
    local function mode() return ("%o"):format(core.file.stat(path).mode) end
    local server = assert(http.serve { path = path })
    assert.equal("600", mode())
    server:close()
    assert.is_false(support.exists(path))
    serve({ path = path, mode = tonumber("660", 8) })
    assert.equal("660", mode())
  end)

  it("refuses another user, lets root in", function()
    serve({ path = path, mode = tonumber("666", 8) },
      function(request) request:respond(200) end)
    assert.equal(200, assert(get("/")).status)
    if core.file.stat("/proc/self").uid ~= 0 then return end
    local folder = path:match("^(.*)/")
    for _, way in ipairs { folder, folder .. "/.." } do
      assert(core.file.chmod(way, tonumber("711", 8)))
    end
    local _, out = support.run(
      { "curl", "-s", "-m", "5", "--unix-socket", path, "http://agent/" }, { user = "nobody" })
    assert.matches("only the owner of this socket and root may use it", out)
  end)

  it("replaces a socket that nobody answers, not one in use, nor a file", function()
    os.execute(("env -u LD_PRELOAD python3 -c 'import socket,sys; "
      .. "socket.socket(socket.AF_UNIX).bind(sys.argv[1])' %s"):format(path))
    assert.is_true(support.exists(path))
    serve({ path = path }, function(request) request:respond(200) end)
    assert.equal(200, assert(get("/")).status)

    local second, message, code = http.serve { path = path }
    assert.is_nil(second)
    assert.equal("exists", code)
    assert.matches("another server listens here", message)

    local file = support.write(support.tmp() .. "/file", "precious")
    assert.is_nil(http.serve { path = file })
    assert.equal("precious", support.read(file))
  end)

  it("leaves alone a socket that is no longer its own", function()
    local first = assert(http.serve { path = path })
    os.remove(path)
    serve({ path = path }, function(request) request:respond(200) end)
    first:close()
    assert.equal(200, assert(get("/")).status)
  end)

  it("says why it cannot listen", function()
    local function fails(code, pattern, value, message, got)
      assert.is_nil(value)
      assert.equal(code, got)
      assert.matches(pattern, message)
    end
    fails("not_found", "cannot make the socket /no/such", http.serve { path = "/no/such/api.sock" })
    fails("invalid", "107 bytes at most", http.serve { path = "/" .. ("x"):rep(200) })
  end)

  describe("bounds", function()
    it("the body of a request", function()
      serve({ path = path, maxBody = 1000 },
        function(request) request:respond(200, nil, tostring(#request.body)) end)
      local function post(body, headers)
        return http.post("http://agent/", body, { unixSocket = path, headers = headers })
      end
      assert.equal("1000", assert(post(("x"):rep(1000))).body)
      assert.equal(413, assert(post(("x"):rep(1001))).status)
      -- Of a chunked body the size shows too late for an answer.
      assert.is_nil((post(("x"):rep(2000000), { ["Transfer-Encoding"] = "chunked" })))
      assert.equal("1", assert(post("x")).body)
    end)

    it("the headers of a request", function()
      serve({ path = path }, function(request) request:respond(200) end)
      local answer = get("/", { headers = { ["X-Long"] = ("x"):rep(60000) } })
      assert.is_true(answer == nil or answer.status == 431 or answer.status == 413)
      assert.equal(200, assert(get("/")).status)
    end)

    it("no single write to a reader that is not behind", function()
      local text = (("x"):rep(1023) .. "\n"):rep(6 * 1024)
      serve({ path = path }, function(request)
        local out <close> = request:stream(200)
        assert(out:write(text))
      end)
      assert.equal(#text, #assert(get("/", { maxBytes = 16 * 1024 * 1024 })).body)
    end)

    it("what a reader may be behind", function()
      local out
      serve({ path = path }, function(request) out = request:stream(200) end)
      local stream <close> = assert(http.stream { url = "http://agent/", unixSocket = path })
      assert.is_truthy(stream)
      local piece, sent = ("x"):rep(64 * 1024 - 1) .. "\n", 0
      repeat
        local ok = out:write(piece)
        sent = sent + #piece
      until not ok or sent > 64 * 1024 * 1024
      assert.is_true(sent < 8 * 1024 * 1024, "took " .. sent)
      assert.equal("closed", select(3, out:write("x")))
    end)
  end)

  describe("a request", function()
    it("that is dropped is answered with an error", function()
      serve({ path = path }, function() end)
      local client = task.spawn(get, "/")
      support.wait_until(function() collectgarbage() return client:done() end, 5, "an answer")
      assert.equal(500, client:join().status)
    end)

    it("is answered once", function()
      local server <close> = assert(http.serve { path = path })
      local client = task.spawn(get, "/")
      local request = server:accept()
      assert.is_true(request:respond(200))
      assert.error_matches(function() request:respond(200) end, "answered already")
      assert.error_matches(function() request:stream(200) end, "answered already")
      assert.equal(200, client:join(50).status)
    end)

    it("is not broken apart by a header", function()
      local server <close> = assert(http.serve { path = path })
      local client = task.spawn(get, "/")
      local request = server:accept()
      assert.error_matches(function() request:respond(200, { A = "b\r\nC: d" }) end, "line break")
      request:respond(200)
      client:join(50)
    end)

    it("whose client has gone can still be answered", function()
      local server <close> = assert(http.serve { path = path })
      local client = task.spawn(get, "/")
      local request = server:accept()
      client:cancel()
      time.sleep(0.02)
      request:respond(200, nil, ("x"):rep(1000000))
    end)
  end)

  describe("a stream", function()
    local function stream()
      return http.stream { url = "http://agent/events", unixSocket = path }
    end

    it("sends each write at once, and ends", function()
      local outs = task.queue()
      serve({ path = path },
        function(request) outs:push(request:stream(200, { ["X-Kind"] = "events" })) end)
      local events <close> = assert(stream())
      assert.equal("events", events.headers["x-kind"])
      local out = outs:pop(50)
      for n = 1, 20 do
        assert.is_true(out:write("event " .. n .. "\n"))
        assert.equal("event " .. n, events:line(50))
      end
      out:close()
      assert.same({ nil, "end", "closed" }, { events:line(50) })
      assert.equal("closed", select(3, out:write("more")))
    end)

    it("has all that was written before it was closed", function()
      serve({ path = path }, function(request)
        local out <close> = request:stream(200)
        for n = 1, 5000 do out:write(n .. "\n") end
      end)
      local events <close> = assert(stream())
      for n = 1, 5000 do assert.equal(tostring(n), events:line(50)) end
      assert.equal("closed", select(3, events:line(50)))
    end)

    it("tells its writer that the client has gone", function()
      local outs = task.queue()
      serve({ path = path },
        function(request) outs:push(request:stream(200)) end)
      local events = assert(stream())
      local out = outs:pop(50)
      assert.is_true(out:write("x\n"))
      assert.equal("x", events:line(50))
      events:close()
      support.wait_until(function() return not out:write("\n") end, 5, "the client to be missed")
    end)
  end)

  describe("close", function()
    it("ends accept, clients and streams", function()
      local server = assert(http.serve { path = path })
      local streaming = task.spawn(http.stream, { url = "http://agent/s", unixSocket = path })
      local out = server:accept():stream(200)
      local events = streaming:join(50)
      local waiting = task.spawn(get, "/waiting")
      local request = server:accept()
      local queued = task.spawn(get, "/queued")
      time.sleep(0.02)
      local accepting
      server:close()
      accepting = { server:accept() }
      assert.equal("closed", accepting[3])
      assert.equal("bad_reply", select(3, waiting:join(50)))
      assert.equal(500, queued:join(50).status)
      assert.is_nil((events:line(50)))
      events:close()
      assert.equal("closed", select(3, request:respond(200)))
      assert.is_nil((out:write("x")))
      assert.is_false(support.exists(path))
    end)

    it("wakes who waits in accept", function()
      local server = assert(http.serve { path = path })
      local waiter = task.spawn(server.accept, server)
      time.sleep(0)
      server:close()
      assert.equal("closed", select(3, waiter:join(50)))
    end)

    it("may be forgotten", function()
      do assert(http.serve { path = path }) end
      collectgarbage()
      collectgarbage()
      assert.is_false(support.exists(path))
    end)
  end)
end)
