-- Finalizers of scripts: they run whenever memory is asked for, and close, cancel and end what
-- something else is at work on. Each program here is a child, in which every allocation collects.
local support = require "support"

local env = { LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH",
  LD_PRELOAD = os.getenv "LD_PRELOAD", ASAN_OPTIONS = os.getenv "ASAN_OPTIONS" }

local START = [[
  local orrery = require "orrery"
  local dir = %q
  -- Runs `act` once in each collection, as long as `armed` holds.
  armed, acted = false, 0
  local function each_collection(act)
    setmetatable({}, { __gc = function()
      if armed then acted = acted + 1 act() end
      each_again(act)
    end })
  end
  function each_again(act) each_collection(act) end
  -- A step is a whole collection, and there is no pause between two.
  local function collect_always()
    collectgarbage("incremental", 1, 1000, 30)
    collectgarbage() -- what was lent before is paid back
  end
  local backend = assert(orrery.discovery.open("file", { filePath = dir }))
  for port = 1, 5 do
    assert(backend:register({ service = "pds", id = "pds@" .. port, address = "::1", port = port }))
  end
]]

--- What the program prints; it must end well, and print nothing else.
local function output(program)
  local code, out, err = support.run({ "lua5.4", "-e", START:format(support.tmp()) .. program },
    { env = env, timeout = 120 })
  assert.same({ 0, "" }, { code, err })
  return out
end

describe("a finalizer", function()
  it("may close the backend whose answer is on its way", function()
    local out = output [[
      each_collection(function() backend:close() end)
      collect_always()
      armed = true
      local list, message = backend:lookup "pds"
      armed = false
      print(list and #list == 5 or message, acted > 0)]]
    assert.is_truthy(out == "true\ttrue\n" or out == "closed\ttrue\n", out)
  end)

  it("may cancel the task whose answer is on its way", function()
    local out = output [[
      local job = orrery.task.spawn(function()
        collect_always()
        armed = true
        return #assert(backend:lookup "pds")
      end)
      each_collection(function() job:cancel() end)
      local count, message = job:join()
      armed = false
      print(count == 5 or message, acted > 0)]]
    assert.is_truthy(out == "true\ttrue\n" or out == "cancelled\ttrue\n", out)
  end)

  it("may close the backend that reads a record", function()
    assert.equal("closed\ttrue\n", output [[
      local record = { service = "pds", address = "::1", port = 9, metadata = { a = "1" } }
      each_collection(function() backend:close() end)
      collect_always()
      armed = true
      local _, message = backend:register(record)
      armed = false
      print(message, acted > 0)]])
  end)

  it("may close the watch that gives a name", function()
    assert.equal("true\ttrue\n", output [[
      local watch = assert(orrery.file.watch(dir))
      for i = 1, 5 do assert(orrery.file.write(dir .. "/name" .. i, "1")) end
      while assert(watch:next(60)) ~= "name1" do end
      orrery.time.sleep(0.05) -- the other names come meanwhile
      each_collection(function() watch:close() end)
      collect_always()
      armed = true
      local name = watch:next(60)
      armed = false
      print(name ~= nil, acted > 0)]])
  end)

  it("may close or change the graph whose answer is made", function()
    assert.equal("200\t200\ttrue\ttrue\n", output [[
      local function chain()
        local g = orrery.graph.new()
        for i = 1, 200 do g:add_node("n" .. i) end
        for i = 2, 200 do g:add_edge("n" .. i, "n" .. i - 1) end
        return g
      end
      local closed, grown, more = chain(), chain(), 0
      each_collection(function()
        closed:close()
        more = more + 1
        grown:add_node("more" .. more)
      end)
      collect_always()
      armed = true
      local plan, lines = grown:solve(), select(2, grown:lines():gsub("n%d+\n", ""))
      local gone = pcall(closed.solve, closed) -- closed long before
      armed = false
      local count = 0
      for _, name in ipairs(plan.order) do if name:find "^n" then count = count + 1 end end
      print(count, lines, not gone, acted > 0)]])
  end)
end)

describe("a program that ends from within a task", function()
  it("gives up what its main thread waits for", function()
    for _, wait in ipairs { "orrery.time.sleep(600)",
      "orrery.check.run { strategy = 'command', command = 'sleep 600' }",
      "backend:lookup('pds', select(2, backend:lookup 'pds'), 600)",
      "orrery.task.spawn(function() orrery.time.sleep(600) end):join()",
      "orrery.file.watch(dir):next()",
      "orrery.http.get(url)",
    } do
      assert.equal("end\n", output([[
        local server = assert(orrery.http.serve { path = dir .. "/socket" })
        local url = "http://127.0.0.1:1/"
        orrery.task.spawn(function()
          orrery.time.sleep(0.05)
          print "end"
          os.exit(0, true)
        end)
      ]] .. wait:gsub("orrery%.http%.get%(url%)",
        "orrery.http.get('http://x/', { unixSocket = dir .. '/socket', timeout = 600 })")))
    end
  end)
end)
