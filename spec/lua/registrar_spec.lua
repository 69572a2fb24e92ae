-- The registrar over a real folder that comes and goes.
local core = require "orrery.core"
local events = require "orrery.events"
local registrar_of = require "orrery.registrar"
local support = require "support"

local function instance(fields)
  local i = { id = "web@n", state = "running", health = "passing", address = "127.0.0.1", port = 81,
    service = { name = "web", scheme = "http" } }
  for key, value in pairs(fields or {}) do i[key] = value end
  return i
end

--- Runs `body(registrar, count, folder, log)`; count() is how many records a reader finds.
local function with_registrar(ttl, body)
  local folder = support.tmp() .. "/discovery"
  local backend = assert(core.discovery.open("file", { filePath = folder }))
  local log = events.new()
  local registrar = registrar_of.new({ backend = backend, name = "file", node = "n", ttl = ttl,
    log = log })
  local running = core.task.spawn(registrar_of.run, registrar)
  local function count()
    local records = backend:lookup("web")
    return records and #records or -1
  end
  local ok, problem = xpcall(body, debug.traceback, registrar, count, folder, log)
  registrar_of.close(registrar)
  running:join(10)
  backend:close()
  if not ok then error(problem, 0) end
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
      local function told(text)
        local times = 0
        for _, event in pairs(log.list) do
          if event.type == "discovery" and event.reason:find(text, 1, true) then
            times = times + 1
          end
        end
        return times
      end
      support.wait_until(function() return told("Cannot ") > 0 end, 10, "the failure to be told")
      support.wait_until(function() return registrar.failures >= 3 end, 10, "three tries")
      assert.equal(1, told("Cannot "))
      os.remove(folder)
      reach(count, 1)
      support.wait_until(function() return told("works again") == 1 end)
    end)
  end)
end)
