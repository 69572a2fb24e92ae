--- The main job, for real: the official PDS, its PLC directory and its database, brought up, used,
--- hurt and taken down.
local support = require "support"
local core = require "orrery.core"

local INSTALL = 900 -- seconds: the first run installs the Node packages

local function packages_home()
  local state = os.getenv("XDG_STATE_HOME")
  return state and state ~= "" and state or nil
end

--- A stack on ports of its own, in a fresh folder.
local function new_stack()
  local dir = support.tmp()
  local ports = { pds = support.free_port(), plc = support.free_port() }
  support.write(dir .. "/stack.lua", ([[
    return { name = "spec-pds", profile = "simple-pds", domain = "localhost",
      stateDir = "%s/state", services = { plc = { port = %d },
        pds = { port = %d, settings = { inviteRequired = false } } } }
  ]]):format(dir, ports.plc, ports.pds))
  return dir, ports
end

local function orrery(dir, arguments, timeout)
  local argv = { "-f", dir .. "/stack.lua", table.unpack(arguments) }
  argv.timeout = timeout or 60
  argv.env = { HOME = os.getenv("HOME"), XDG_STATE_HOME = packages_home() }
  return support.orrery(argv)
end

local function status(dir)
  local code, out, err = orrery(dir, { "status", "--json" })
  assert.is_true(code <= 1, err) -- 1: something is not as it should be, such as while it heals
  local state = assert(core.json.decode(out))
  local by_name = {}
  for _, service in ipairs(state.services) do by_name[service.name] = service end
  return by_name, state
end

local function up(dir)
  local code, out, err = orrery(dir, { "up", "-d" }, INSTALL)
  assert.equals(0, code, out .. err)
  return out .. err
end

local function create_account(port, handle)
  local answer = assert(core.http.request({ method = "POST", timeout = 60,
    url = ("http://127.0.0.1:%d/xrpc/com.atproto.server.createAccount"):format(port),
    headers = { ["Content-Type"] = "application/json" },
    body = core.json.encode({ handle = handle, email = handle .. "@example.com",
      password = "spec-password" }) }))
  assert.equals(200, answer.status, answer.body)
  return assert(core.json.decode(answer.body)).did
end

local function files_of(folder, found)
  found = found or {}
  for _, name in ipairs(assert(core.file.list(folder))) do
    local path = folder .. "/" .. name
    local stat = core.file.stat(path)
    if stat and stat.type == "directory" then files_of(path, found)
    elseif stat and stat.type == "file" then found[#found + 1] = path end
  end
  return found
end

describe("simple-pds", function()
  it("serves accounts, keeps its secrets, heals, and leaves nothing", function()
    local dir, ports = new_stack()
    finally(function() orrery(dir, { "down" }) end)
    local said = up(dir)

    local health = assert(core.http.get(("http://127.0.0.1:%d/xrpc/_health"):format(ports.pds)))
    assert.equals(200, health.status)
    local services = status(dir)
    for _, name in ipairs({ "pds", "plc", "database" }) do
      assert.equals("running", services[name].state, name)
      assert.equals("passing", services[name].health, name)
    end

    -- found by discovery, without a secret
    local code, out
    support.wait_until(function() -- it is registered once it is healthy, which nobody waits for
      code, out = orrery(dir, { "discover", "pds", "--json" })
      return code == 0
    end, 20, "the record of the PDS")
    assert.equals(ports.pds, core.json.decode(out)[1].port)
    local record = support.read(dir .. "/state/discovery/pds.json")
    assert.matches('"port": ' .. ports.pds, record)

    -- an account, through its own PLC
    local did = create_account(ports.pds, "alice.test")
    assert.matches("^did:plc:", did)

    -- secrets: made once, only ours, in no log and no record
    local secrets = files_of(dir .. "/state/secrets")
    assert.is_true(#secrets >= 3)
    local logs = said .. record
    for _, path in ipairs(files_of(dir .. "/state/log")) do logs = logs .. support.read(path) end
    for _, path in ipairs(secrets) do
      assert.equals(tonumber("600", 8), core.file.stat(path).mode & 511, path)
      local value = support.read(path):gsub("%s+$", "")
      if #value >= 16 then
        assert.is_nil(logs:find(value, 1, true), "a secret is in a log or record: " .. path)
      end
    end

    -- kill -9 of the PDS is healed
    local pid = services.pds.instances[1].pid
    core.process.run({ argv = { "kill", "-9", tostring(pid) } })
    assert.equals(0, (orrery(dir, { "wait", "pds", "--for", "healthy", "--timeout", "60" })))
    support.wait_until(function()
      local pds = status(dir).pds
      return pds.health == "passing" and pds.instances[1].pid ~= pid
    end, 60, "the PDS to come back")

    -- the directory forgets nothing when it restarts
    code = orrery(dir, { "restart", "plc" })
    assert.equals(0, code)
    local resolved = assert(core.http.get(("http://127.0.0.1:%d/%s"):format(ports.plc, did)))
    assert.equals(200, resolved.status, resolved.body)

    -- a second up finds it running
    local before = core.time.monotonic()
    assert.equals(0, (orrery(dir, { "up", "-d" })))
    assert.is_true(core.time.monotonic() - before < 60)

    services = status(dir)
    assert.equals(0, (orrery(dir, { "down" })))
    for _, name in ipairs({ "pds", "plc" }) do
      assert.is_false(support.procfs.alive(services[name].instances[1].pid), name)
    end
    code, out = orrery(dir, { "discover", "pds", "--json" })
    assert.equals(1, code)
    assert.same({}, core.json.decode(out))
  end)

  it("leaves no child when its agent is killed, and comes back", function()
    local dir = new_stack()
    finally(function() orrery(dir, { "down" }) end)
    up(dir)
    local services, state = status(dir)
    core.process.run({ argv = { "kill", "-9", tostring(state.agent.pid) } })
    for _, name in ipairs({ "pds", "plc" }) do
      support.wait_gone(services[name].instances[1].pid, 15)
    end
    assert.equals(4, (orrery(dir, { "status" })))
    up(dir)
    assert.equals("passing", status(dir).pds.health)
  end)
end)
