-- The registrar over a real folder that comes and goes.
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local events = require "orrery.events"
local registrar_of = require "orrery.registrar"
local servers = require "support.servers"
local support = require "support"

local function instance(fields)
  local i = { id = "web@n", state = "running", health = "passing", address = "127.0.0.1", port = 81,
    service = { name = "web", scheme = "http" } }
  for key, value in pairs(fields or {}) do i[key] = value end
  return i
end

--- Runs `body(registrar, count, folder, log)`; count() is how many records a reader finds. `keys`
--- are further keys of discovery.
local function with_registrar(ttl, body, keys)
  local folder = support.tmp() .. "/discovery"
  local all = { backend = "file", filePath = folder }
  for key, value in pairs(keys or {}) do all[key] = value end
  local found = assert(discovery.open(all))
  local log = events.new()
  local registrar = registrar_of.new({ discovery = found, node = "n", ttl = ttl, log = log })
  local running = core.task.spawn(registrar_of.run, registrar)
  local reader = assert(core.discovery.open("file", { filePath = folder }))
  local function count()
    local records = reader:lookup("web")
    return records and #records or -1
  end
  local ok, problem = xpcall(body, debug.traceback, registrar, count, folder, log)
  registrar_of.close(registrar)
  running:join(50)
  reader:close()
  found:close()
  if not ok then error(problem, 0) end
end

--- How often the events have said this.
local function told(log, text)
  local times = 0
  for _, event in pairs(log.list) do
    if event.type == "discovery" and event.reason:find(text, 1, true) then times = times + 1 end
  end
  return times
end

local function reach(count, wanted)
  support.wait_until(function() return count() == wanted end, 10, wanted .. " records")
end

describe("the registrar", function()
  it("registers what serves, and takes away what fails or ends", function()
    with_registrar(60, function(registrar, count)
      registrar_of.changed(registrar, instance())
      reach(count, 1)
      registrar_of.changed(registrar, instance({ health = "flapping" }))
      registrar_of.changed(registrar, instance({ health = "failing" }))
      reach(count, 0)
      registrar_of.changed(registrar, instance())
      reach(count, 1)
      registrar_of.changed(registrar, instance({ state = "stopping" }))
      reach(count, 0)
    end)
  end)

  it("is not woken for what was never registered", function()
    with_registrar(60, function(registrar)
      registrar_of.changed(registrar, instance({ state = "starting", health = "unknown" }))
      assert.equals(0, #registrar.parts[1].queue)
    end)
  end)

  it("registers what has no check once it runs", function()
    with_registrar(60, function(registrar, count)
      registrar_of.changed(registrar, instance({ health = "unknown" }))
      registrar_of.changed(registrar, instance({ health = "unknown", unchecked = true }))
      reach(count, 1)
    end)
  end)

  it("gives the record anew when it has changed", function()
    with_registrar(60, function(registrar, count, folder)
      registrar_of.changed(registrar, instance())
      reach(count, 1)
      registrar_of.changed(registrar, instance({ port = 82 }))
      support.wait_until(function()
        return support.read(folder .. "/web.json"):find("82", 1, true)
      end)
    end)
  end)

  it("loses nothing while its folder is gone, and says so once", function()
    with_registrar(3, function(registrar, count, folder, log)
      registrar_of.changed(registrar, instance())
      reach(count, 1)
      support.remove_tree(folder)
      support.write(folder, "in the way")
      support.wait_until(function() return told(log, "Cannot ") > 0 end, 10, "the failure")
      support.wait_until(function() return registrar.parts[1].failures >= 3 end, 10, "three tries")
      assert.equal(1, told(log, "Cannot "))
      os.remove(folder)
      reach(count, 1)
      support.wait_until(function() return told(log, "works again") == 1 end)
    end)
  end)

  it("registers with a backend once it is back, and meanwhile with the fallback", function()
    local port = support.free_port()
    local url = "http://127.0.0.1:" .. port
    local keys = { backend = support.root .. "/spec/support/backends/keystore.lua",
      options = { url = url }, fallback = { "file" } }
    with_registrar(6, function(registrar, count, _, log)
      registrar_of.changed(registrar, instance())
      reach(count, 1)
      local first = registrar.parts[1]
      support.wait_until(function() return first.failures >= 2 end, 10, "two tries")
      assert.equal(1, told(log, ("Cannot register with discovery backend keystore at %s/web/web@n: "
        .. "connection refused"):format(url)))
      local server = servers.start("key_store.py", tostring(port))
      local ok, err = pcall(function()
        support.wait_until(function() return told(log, "works again") == 1 end, 20, "the return")
        local listed = core.json.decode(core.http.get(url .. "/web").body)
        assert.equal("web@n", listed[1].id)
        registrar_of.changed(registrar, instance({ state = "stopped" }))
        reach(count, 0)
        support.wait_until(function()
          return core.http.get(url .. "/web").body == "[]"
        end, 20, "it to be gone")
      end)
      server.stop()
      if not ok then error(err, 0) end
    end, keys)
  end)

  it("registers again what the backend has lost, and renews what it has", function()
    with_registrar(4, function(registrar, count, folder, log)
      registrar_of.changed(registrar, instance())
      reach(count, 1)
      core.time.sleep(5.5)
      assert.equal(1, count(), "it is renewed in time")
      assert.equal(1, told(log, "registered with file"))
      support.write(folder .. "/web.json", "[]")
      reach(count, 1)
      assert.equal(0, told(log, "Cannot"))
    end)
  end)

  it("does not let one bad record stop the others", function()
    with_registrar(60, function(registrar, count, _, log)
      registrar_of.changed(registrar, instance({ id = "bad@n", port = 70000 }))
      registrar_of.changed(registrar, instance())
      reach(count, 1)
      support.wait_until(function() return told(log, "cannot register: port: must be") == 1 end)
    end)
  end)
end)
