local support = require "support"
local servers = require "support.servers"
local core = require "orrery.core"

local http, task, time = core.http, core.task, core.time

describe("http", function()
  local server, base, tls_base, folder, cert

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local key
    cert, key = servers.certificate(folder, "pds.example.test")
    server = servers.start("hostile_http.py", cert, key)
    base = "http://127.0.0.1:" .. server.ports[1]
    tls_base = "https://127.0.0.1:" .. server.ports[2]
  end)

  teardown(function()
    server.stop()
    support.remove_tree(folder)
  end)

  local function fails(code, pattern, value, message, got)
    assert.is_nil(value)
    assert.equal(code, got)
    assert.matches(pattern, message)
  end

  describe("an answer", function()
    it("ends at its deadline although that came while another task computed", function()
    local url = base .. "/never"
    fails("timeout", "no answer", http.get(url, { timeout = 0.05 })) -- its operation is kept
    task.spawn(function()
      local over = time.monotonic() + 0.2
      while time.monotonic() < over do end
    end)
    local guard = task.spawn(time.sleep, 50) -- without the deadline it would end by this
    local before = time.monotonic()
    fails("timeout", "no answer", http.get(url, { timeout = 0.05 }))
    assert.is_true(time.monotonic() - before < 30)
    guard:cancel()
  end)

  it("has its status, headers, body and time", function()
      local answer = assert(http.get(base .. "/status/299"))
      assert.equal(299, answer.status)
      assert.equal("status", answer.body)
      assert.equal("6", answer.headers["content-length"])
      assert.is_true(answer.elapsed > 0 and answer.elapsed < 5)
    end)

    it("joins headers of one name, and forgets those of a 100", function()
      local answer = assert(http.get(base .. "/twice"))
      assert.same({ ["x"] = "1, 2", ["content-length"] = "0" }, answer.headers)
    end)

    it("comes for a name as for an address", function()
      local answer = assert(http.get(base:gsub("127.0.0.1", "pds.localhost") .. "/echo"))
      assert.matches("\nHost: pds.localhost:%d+\r\n", answer.body)
    end)
  end)

  describe("a request", function()
    it("is sent as it was given", function()
      local answer = assert(http.request {
        method = "PUT", url = base .. "/echo?a=b", body = "x\0y",
        headers = { ["X-One"] = "1", ["X-Empty"] = "", ["User-Agent"] = "me" },
      })
      assert.matches("^PUT /echo%?a=b HTTP/1.1\r\n", answer.body)
      assert.matches("\r\nX%-One: 1\r\n", answer.body)
      assert.matches("\r\nX%-Empty:\r\n", answer.body)
      assert.matches("\r\nUser%-Agent: me\r\n", answer.body)
      assert.matches("\r\n\r\nx%zy$", answer.body)
      assert.is_nil(answer.body:find("Content-Type", 1, true))
    end)

    it("is a POST with a body", function()
      local answer = assert(http.post(base .. "/echo", "{}",
        { headers = { ["Content-Type"] = "application/json" } }))
      assert.matches("^POST /echo", answer.body)
      assert.matches("\r\nContent%-Type: application/json\r\n.*\r\n\r\n{}$", answer.body)
    end)

    it("for HEAD waits for no body", function()
      assert.equal(404, assert(http.request { method = "HEAD", url = base .. "/x" }).status)
    end)

    it("is refused when it would break apart", function()
      fails("invalid", "bad header 'X'",
        http.get(base, { headers = { X = "1\r\nY: 2" } }))
      fails("invalid", "bad HTTP method", http.request { method = "GET /\r\n", url = base })
      fails("invalid", "expected a URL with http", http.get("file:///etc/hostname"))
      fails("invalid", "expected a URL with http", http.get("gopher://127.0.0.1/"))
      fails("invalid", "bad URL: .*; expected one such as", http.get("http://127.0.0.1:99999/"))
      fails("invalid", "bad URL", http.get(""))
      fails("invalid", "bad host", http.get("http://b\xc3\xbccher.localhost/"))
      fails("invalid", "107 bytes", http.get(base, { unixSocket = "/" .. ("x"):rep(200) }))
    end)

    it("raises for options of a wrong type", function()
      assert.error_matches(function() http.get(base, { timeout = "1" }) end, "field 'timeout'")
      assert.error_matches(function() http.get(base, { maxBytes = -1 }) end, "field 'maxBytes'")
      assert.error_matches(function() http.get(base, { tls = true }) end, "field 'tls'")
      assert.error_matches(function() http.request {} end, "field 'url' is missing")
    end)

    it("uses a fresh connection unless it may reuse one", function()
      local function serial(options) return assert(http.get(base .. "/serial", options)).body end
      assert.are_not.equal(serial(), serial())
      local first = serial { reuse = true }
      assert.equal(first, serial { reuse = true })
      assert.are_not.equal(first, serial())
    end)

    it("ignores the proxies of the environment", function()
      local program = ([[print(assert(require "orrery.core".http.get("%s/status/200")).status)]])
        :format(base)
      local nowhere = "http://127.0.0.1:1"
      local pipe <close> = assert(io.popen(("http_proxy=%s ALL_PROXY=%s lua5.4 -e '%s'")
        :format(nowhere, nowhere, program)))
      assert.equal("200", pipe:read("l"))
    end)
  end)

  describe("a failure", function()
    it("says who refused", function()
      local port = support.free_port()
      local url = ("http://127.0.0.1:%d/x"):format(port)
      local value, message, code = http.get(url)
      assert.is_nil(value)
      assert.equal(url .. ": connection refused", message)
      assert.equal("refused", code)
    end)

    it("does not show a password", function()
      local _, message = http.get(("http://me:secret@127.0.0.1:%d/x"):format(support.free_port()))
      assert.is_nil(message:find("secret", 1, true))
      local _, bad = http.get("http://me:secret@/")
      assert.is_nil(bad:find("secret", 1, true))
    end)

    it("names a host that does not exist", function()
      fails("not_found", "no such name", http.get("http://no-such-host.invalid/", { timeout = 20 }))
    end)

    for path, expected in pairs {
      ["/reset"] = { "io", "reset" },
      ["/half-reset"] = { "io", "reset" },
      ["/half"] = { "bad_reply", "cut off" },
      ["/garbage"] = { "bad_reply", "not HTTP" },
      ["/big"] = { "bad_reply", "the body is larger than 1048576 bytes" },
      ["/big-chunks"] = { "bad_reply", "the body is larger than 1048576 bytes" },
      ["/big-head"] = { "bad_reply", "the headers are larger than 65536 bytes" },
    } do
      it("is told for " .. path, function()
        fails(expected[1], expected[2], http.get(base .. path))
      end)
    end

    it("is told for a body of one byte too many, not for one that fits", function()
      assert.equal(6, #assert(http.get(base .. "/status/200", { maxBytes = 6 })).body)
      fails("bad_reply", "larger than 5 bytes", http.get(base .. "/status/200", { maxBytes = 5 }))
    end)

    for path, pattern in pairs {
      ["/never"] = "no answer within 1.5 s",
      ["/drip"] = "its answer was not complete within 1.5 s", -- its head has come by then
      ["/drip-head"] = "no answer within 1.5 s",
    } do
      it("comes at the deadline for " .. path, function()
        local before = time.monotonic()
        fails("timeout", pattern, http.get(base .. path, { timeout = 1.5 }))
        local took = time.monotonic() - before
        assert.is_true(took >= 1.49 and took < 20, "took " .. took)
      end)
    end
  end)

  describe("redirects", function()
    local follow = { followRedirects = true }

    it("are answers unless they are to be followed", function()
      assert.equal(302, assert(http.get(base .. "/hops/1")).status)
    end)

    it("are followed up to five times", function()
      assert.matches("^GET /echo", assert(http.get(base .. "/hops/5", follow)).body)
      fails("bad_reply", "redirected more than 5 times", http.get(base .. "/hops/6", follow))
      fails("bad_reply", "redirected more than 5 times", http.get(base .. "/loop", follow))
    end)

    it("become a GET after 303, and keep the method after 307", function()
      local options = { followRedirects = true }
      assert.matches("^GET ", assert(http.post(base .. "/see-other", "b", options)).body)
      local kept = assert(http.post(base .. "/same-method", "b", options)).body
      assert.matches("^POST ", kept)
      assert.matches("\r\n\r\nb$", kept)
    end)

    it("carry no credentials to another origin", function()
      local options = {
        followRedirects = true, headers = { Authorization = "Bearer x", ["X-Kept"] = "y" },
      }
      local same = assert(http.get(base .. "/hops/1", options)).body
      assert.matches("Authorization: Bearer x", same)
      local other = assert(http.get(base .. "/elsewhere", options)).body
      assert.is_nil(other:find("Bearer", 1, true))
      assert.matches("X%-Kept: y", other)
      assert.matches("Host: localhost:", other)
    end)

    it("do not lead out of HTTP", function()
      fails("invalid", "expected a URL with http", http.get(base .. "/to-file", follow))
    end)
  end)

  describe("TLS", function()
    it("is refused for an authority nobody trusts", function()
      fails("io", "its TLS certificate is not accepted: .*self.signed",
        http.get(tls_base .. "/status/200"))
    end)

    it("is refused for a wrong name, which it tells", function()
      fails("io", "its TLS certificate is not accepted: .*127.0.0.1",
        http.get(tls_base .. "/status/200", { tls = { ca = cert } }))
      fails("io", "its TLS certificate is not accepted: .*pds.wrong.test",
        http.get(tls_base .. "/x", { tls = { ca = cert, serverName = "pds.wrong.test" } }))
    end)

    it("is accepted for the right name, and asks for the real host", function()
      local answer = assert(http.get(tls_base .. "/echo",
        { tls = { ca = cert, serverName = "pds.example.test" } }))
      assert.matches("\r\nHost: 127.0.0.1:" .. server.ports[2] .. "\r\n", answer.body)
    end)

    it("is accepted unverified", function()
      local answer = assert(http.get(tls_base .. "/status/200", { tls = { verify = false } }))
      assert.equal(200, answer.status)
    end)

    it("tells which file is wrong", function()
      fails("invalid", "/no/such/ca.pem", http.get(tls_base, { tls = { ca = "/no/such/ca.pem" } }))
      fails("invalid", "client certificate",
        http.get(tls_base, { tls = { ca = cert, cert = "/no/such/cert.pem" } }))
    end)

    it("is no HTTP", function()
      local plain = tls_base:gsub("https", "http")
      local value = http.get(plain .. "/status/200", { timeout = 20 })
      assert.is_nil(value)
      fails("io", "no TLS is spoken there", http.get(base:gsub("http", "https"), { timeout = 20 }))
    end)
  end)

  describe("a stream", function()
    it("gives its head, then line by line, then the end", function()
      local stream <close> = assert(http.stream { url = base .. "/lines" })
      assert.equal(200, stream.status)
      assert.equal("lines", stream.headers["x-kind"])
      local lines = {}
      for _ = 1, 4 do lines[#lines + 1] = assert(stream:line(50)) end
      assert.same({ "one", "two", "", "three" }, lines)
      fails("closed", "^end$", stream:line(50))
      fails("closed", "^end$", stream:line(50))
    end)

    it("tells a body that was cut off", function()
      local stream <close> = assert(http.stream { url = base .. "/cut-lines" })
      assert.equal("one", stream:line(50))
      fails("bad_reply", "cut off", stream:line(50))
    end)

    it("stops a sender that is faster than its reader, and loses nothing", function()
      local stream <close> = assert(http.stream { url = base .. "/many-lines" })
      time.sleep(0.1)
      for n = 1, 200000 do
        if stream:line(50) ~= tostring(n) then error("line " .. n) end
      end
      fails("closed", "^end$", stream:line(50))
    end)

    it("refuses a line that does not end", function()
      local stream <close> =
        assert(http.stream { url = base .. "/endless-line", maxBytes = 100000 })
      fails("bad_reply", "a line of the body is larger than 100000 bytes", stream:line(50))
    end)

    it("waits for a line as long as it is told", function()
      local stream <close> = assert(http.stream { url = base .. "/drip" })
      local before = time.monotonic()
      fails("timeout", "timed out", stream:line(0.1))
      assert.is_true(time.monotonic() - before < 20)
    end)

    it("fails before its head as a request does", function()
      fails("refused", "connection refused",
        http.stream { url = "http://127.0.0.1:" .. support.free_port() })
      fails("timeout", "no answer within 0.1 s",
        http.stream { url = base .. "/never", timeout = 0.1 })
    end)

    it("that is closed ends the wait of its reader", function()
      local stream = assert(http.stream { url = base .. "/drip" })
      local reader = task.spawn(function() return select(2, stream:line()) end)
      time.sleep(0.01)
      stream:close()
      assert.equal("closed", reader:join(50))
      fails("closed", "closed", stream:line())
    end)
  end)

  describe("cancelling", function()
    it("ends a request in each of its stages, and a stream", function()
      for _, path in ipairs { "/never", "/drip", "/drip-head" } do
        for _, wait in ipairs { 0, 0.02 } do
          for _, call in ipairs { http.request, http.stream } do
            local handle = task.spawn(call, { url = base .. path })
            time.sleep(wait)
            handle:cancel()
            time.sleep(0)
            assert.is_true(handle:done())
          end
        end
      end
    end)
  end)

  it("answers many at once", function()
    local handles = {}
    for n = 1, 100 do
      local path = n % 10 == 0 and "/reset" or "/status/200"
      handles[n] = task.spawn(http.get, base .. path, { timeout = 20 })
    end
    for n, handle in ipairs(handles) do
      local answer, _, code = handle:join(50)
      if n % 10 == 0 then assert.equal("io", code) else assert.equal(200, answer.status) end
    end
  end)
end)
