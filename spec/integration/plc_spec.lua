-- The PLC directory as it is installed and run: real npm packages, a real server, real signatures.
local support = require "support"
local orrery = require "orrery"
local package_of = require "orrery.package"
local packages = require "support.packages"

local http, json, process = orrery.http, orrery.json, orrery.process

describe("the PLC directory's own store", function()
  local stack, folder, port, data, server, operations

  local function url(path) return ("http://127.0.0.1:%d/%s"):format(port, path) end

  local function healthy()
    local answer = http.get(url "_health", { timeout = 2 })
    return answer and answer.status == 200
  end

  local function start()
    server = assert(process.spawn {
      argv = { "node", folder .. "/plc.cjs" }, cwd = folder,
      env = packages.env(stack, folder, { PORT = tostring(port), PLC_DATA_DIRECTORY = data }),
    })
    support.wait_until(healthy, 20, "the PLC directory to answer")
  end

  local function stop()
    server:signal("TERM")
    return server:wait(50)
  end

  local function send(operation)
    local answer = assert(http.request {
      method = "POST", url = url(operations.did), body = json.encode(operation),
      headers = { ["content-type"] = "application/json" },
    })
    return answer.status, answer.body
  end

  local function document()
    local answer = assert(http.get(url(operations.did)))
    return answer.status == 200 and json.decode(answer.body) or nil
  end

  local function known_as() return document().alsoKnownAs[1] end

  local function audit_log()
    return assert(json.decode(assert(http.get(url(operations.did .. "/log/audit"))).body))
  end

  setup(function()
    stack = packages.stack()
    folder = assert(package_of.ensure_named(stack, "plc"))
  end)

  before_each(function()
    data, port = support.tmp(), support.free_port()
    local text = packages.node(stack, folder, support.root .. "/spec/support/plc_operations.cjs")
    operations = assert(json.decode(text))
  end)

  it("keeps a DID over a restart", function()
    start()
    assert.equal(200, send(operations.create))
    local before = document()
    assert.same({ code = 0 }, stop())
    start()
    assert.same(before, document())
    assert.equal(operations.did, before.id)
    stop()
  end)

  it("listens on loopback only", function()
    start()
    local text = support.read("/proc/net/tcp") .. support.read("/proc/net/tcp6")
    local listening = {}
    for address in text:gmatch(("(%%x+):%04X %%x+:0000 0A"):format(port)) do
      listening[#listening + 1] = address
    end
    assert.same({ "0100007F" }, listening)
    stop()
  end)

  it("refuses an operation whose prev is no longer the latest", function()
    start()
    assert.equal(200, send(operations.create))
    assert.equal(200, send(operations.second))
    assert.equal(400, send(operations.rival))
    assert.equal("at://second.test", known_as())
    stop()
  end)

  it("lets one of two rival operations win, and only one", function()
    start()
    assert.equal(200, send(operations.create))
    local one = orrery.task.spawn(send, operations.second)
    local other = orrery.task.spawn(send, operations.rival)
    local first, second = one:join(), other:join()
    assert.is_true((first == 200) ~= (second == 200), ("%d and %d"):format(first, second))
    assert.equal(2, #audit_log())
    stop()
  end)

  it("lets the stronger key undo an operation, and shows that it did", function()
    start()
    assert.equal(200, send(operations.create))
    assert.equal(200, send(operations.second))
    assert.equal(200, send(operations.recovery))
    assert.equal("at://recovered.test", known_as())
    local nullified = {}
    for i, entry in ipairs(audit_log()) do nullified[i] = entry.nullified end
    assert.same({ false, true, false }, nullified)
    stop()
  end)

  it("exports all operations, and continues an export", function()
    start()
    send(operations.create)
    send(operations.second)
    local lines = {}
    for line in assert(http.get(url "export")).body:gmatch("[^\n]+") do
      lines[#lines + 1] = assert(json.decode(line))
    end
    assert.equal(2, #lines)
    local rest = assert(http.get(url("export?after=" .. lines[1].createdAt))).body
    assert.equal(lines[2].cid, assert(json.decode(rest)).cid)
    stop()
  end)

  it("says in one line why it cannot start", function()
    local result = assert(process.run {
      argv = { "node", folder .. "/plc.cjs" },
      env = packages.env(stack, folder, { PORT = tostring(port) }),
    })
    assert.equal(1, result.code)
    assert.equal("plc: could not start: PLC_DATA_DIRECTORY is not set\n", result.stderr)
  end)
end)
