-- process.notify_socket and proc:expected: how a service says that it is ready.
local support = require "support"
local core = require "orrery.core"

local process = core.process
local is_root = process.user().uid == 0

local SEND = [[
import socket, os, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(10)
]]

local function python(script, env, more)
  local spec = { argv = { "python3", "-c", SEND .. script }, env = env, instance = "demo#web@a" }
  for key, value in pairs(more or {}) do spec[key] = value end
  return assert(process.spawn(spec))
end

local function open_socket(owner)
  local path = support.tmp() .. "/web.sock"
  return assert(process.notify_socket(path, owner)), path
end

describe("process.notify_socket", function()
  it("tells what sd_notify sends, and whose process sent it", function()
    local socket, path = open_socket()
    local shell = assert(process.spawn { instance = "demo#web@a", env = { NOTIFY_SOCKET = path },
      shell = "python3 spec/support/notify.py READY=1 'STATUS=two words'; exit $?" })
    local message = assert(socket:next(50))
    assert.equal("READY=1\nSTATUS=two words", message.text)
    assert.equal(shell.pid, message.root)
    assert.equal("demo#web@a", message.instance)
    assert.same({ code = 0 }, shell:wait(50)) -- it had waited for its descriptor to be closed
    socket:close()
    assert.is_false(support.exists(path))
  end)

  it("tells a stranger's message from the service's", function()
    local socket, path = open_socket()
    local other = assert(process.detach { argv = { "env", "NOTIFY_SOCKET=" .. path, "sh", "-c",
      "python3 spec/support/notify.py READY=1; exec sleep 60" } })
    local message = assert(socket:next(50))
    assert.is_nil(message.root)
    assert.is_nil(message.instance)
    core.process.run { argv = { "kill", "-9", ("%d"):format(other) } }
    support.wait_gone(other)
    socket:close()
  end)

  it("drops what is empty or too long, keeps 64, and holds the sender back", function()
    local socket, path = open_socket()
    local sender = python([[
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"")
s.send(b"x" * 4097)
for n in range(200):
    s.send(b"STATUS=%d" % n)
]], { NOTIFY_SOCKET = path })
    for n = 0, 199 do assert.equal("STATUS=" .. n, assert(socket:next(50)).text) end
    assert.same({ code = 0 }, sender:wait(50))
    assert.is_nil((socket:next(0.05)))
    socket:close()
  end)

  it("lets nobody but the owner write", function()
    if not is_root then return pending("needs root") end
    local socket, path = open_socket("nobody")
    local stat = core.file.stat(path)
    assert.equal(process.lookup_user("nobody").uid, stat.uid)
    assert.equal(384, stat.mode & 511)
    core.file.chmod(path:match("^(.*)/"), 493)
    local SEND_ONE = 's.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])\n'
    local mine = python(SEND_ONE, { NOTIFY_SOCKET = path }, { user = "nobody" })
    assert.same({ code = 0 }, mine:wait(50))
    assert.equal("READY=1", socket:next(50).text)
    local other = python(SEND_ONE, { NOTIFY_SOCKET = path }, { user = "daemon" })
    assert.same({ code = 1 }, other:wait(50))
    assert.is_nil((socket:next(0.05)))
    socket:close()
  end)

  it("says why a socket cannot be made, and ends who waits when it is closed", function()
    local _, message, code = process.notify_socket("/tmp/" .. ("x"):rep(200))
    assert.equal("invalid", code)
    assert.truthy(message:find("107 bytes at most", 1, true), message)
    _, message, code = process.notify_socket("/nonexistent/x.sock")
    assert.equal("not_found", code, message)
    local socket = open_socket()
    local waiting = core.task.spawn(function() return socket:next() end)
    core.time.sleep(0)
    socket:close()
    assert.same({ nil, "closed", "closed" }, { waiting:join(50) })
    assert.same({ nil, "closed", "closed" }, { socket:next() })
  end)
end)

describe("process:expected", function()
  it("waits for a line that has the plain text in it", function()
    local child = assert(process.spawn { shell = "echo '100% (ready). Go'; exec sleep 60",
      expect = "% (ready)." })
    assert.is_true(child:expected(10))
    assert.is_true(child:expected(0)) -- and goes on being true
    child:kill()
    child:wait(50)
  end)

  it("times out, and is over when the process is", function()
    local child = assert(process.spawn { argv = { "sleep", "60" }, expect = "ready" })
    assert.same({ nil, "timed out", "timeout" }, { child:expected(0.05) })
    local waiting = core.task.spawn(function() return child:expected() end)
    core.time.sleep(0)
    child:kill()
    assert.equal("closed", (select(3, waiting:join(50))))
    assert.equal("closed", (select(3, child:expected())))
    child = assert(process.spawn { argv = { "true" } })
    assert.has_error(function() child:expected() end)
    child:wait(50)
  end)
end)
