-- What the README shows: every block runs, every command and option in it exists.
local agents = require "support.agents"
local catalogue = require "orrery.cli.catalogue"
local core = require "orrery.core"
local help = require "orrery.cli.help"
local support = require "support"

local README = support.read(support.root .. "/README.md")

local function block(with)
  for text in README:gmatch("```lua\n(.-)```") do
    if text:find(with, 1, true) then return text end
  end
  error("the README has no block with " .. with)
end

--- The text of an inline piece of code that begins so.
local function inline(beginning)
  local from = assert(README:find("`" .. beginning, 1, true), beginning .. " is not in the README")
  local text = README:sub(from + 1):match("^([^`]+)`")
  return (text:gsub("\n%s*", " "))
end

local function orrery(arguments)
  arguments.timeout = 60
  local code, out, err = support.orrery(arguments)
  assert.equal(0, code, err .. out)
  return out
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q is not in: %s"):format(part, text))
end

describe("the README's", function()
  it("stack is one, and so are its pieces in a stack", function()
    local dir = support.tmp()
    support.write(dir .. "/stack.lua", block "profile = \"simple-pds\"")
    has(orrery { "-f", dir, "validate" }, "is valid: 4 services")
    assert(core.file.mkdir(dir .. "/templates"))
    support.write(dir .. "/templates/haproxy.cfg", "defaults\n")
    support.write(dir .. "/consul.token", "t")
    support.write(dir .. "/stack.lua", ("return { %s, services = { a = { exec = { 'a' }, %s } } }")
      :format(block "consulTokenFile", block "haproxy.cfg"))
    has(orrery { "-f", dir, "validate" }, "is valid: 1 service")
  end)

  it("script brings a stack up, waits and looks up", function()
    local dir = support.tmp()
    local port = support.free_port()
    support.write(dir .. "/stack.lua", ([[return { name = "spec", stateDir = "state",
      discovery = { filePath = "discovery" },
      services = { pds = { type = "process", port = %d, user = %q,
        exec = { "python3", "-m", "http.server", "${port}", "--bind", "${address}" },
        healthEndpoint = "/" } } }]]):format(port, core.process.user().name))
    support.write(dir .. "/deploy.lua", block "orrery script")
    finally(function() agents.handle(dir):orrery "down" end)
    local out = orrery { "script", "deploy.lua", "staging", cwd = dir,
      env = { ORRERY_NODE = "edge" } }
    assert.equal(("pds@edge\t%d\n"):format(port), out)
  end)

  it("type, filter, check and format work as they stand", function()
    local dir = support.tmp()
    for _, kind in ipairs { "types", "filters", "checks" } do
      assert(core.file.mkdir(dir .. "/" .. kind))
    end
    support.write(dir .. "/types/cache.lua", inline "return { port = 6379")
    support.write(dir .. "/filters/shout.lua", inline "return function(value)")
    support.write(dir .. "/checks/row.lua", inline "return { options = {}, run")
    local port = support.free_port()
    local listener = assert(core.process.spawn { env = core.process.environ(), argv = { "python3",
      "-c", ("import socket,time;s=socket.socket();s.bind(('127.0.0.1',%d));s.listen();"
      .. "time.sleep(60)"):format(port) } })
    finally(function()
      listener:kill()
      listener:wait()
    end)
    support.wait_until(function() return core.net.connect("127.0.0.1", port) end)
    support.write(dir .. "/stack.lua", ([[return { name = "spec", stateDir = "state", services = {
      cache = {}, near = { external = true, port = %d, healthCheck = { strategy = "row" } },
      job = { exec = { "true" },
        config = { ["a.txt"] = { template = "${name | shout}" } } } } }]]):format(port))
    has(orrery { "-f", dir, "config", "--json" }, "redis-server")
    has(orrery { "-f", dir, "render", "job" }, "JOB!")
    has(orrery { "-f", dir, "check", "near" }, "pass")
  end)

  it("commands and options exist", function()
    local seen = 0
    for line in README:gmatch("[^\n]+") do
      for words in line:gmatch("orrery%f[%s]([^`|#)\n]*)") do
        local name = words:gsub("^%s*%-f%s+%S+", ""):match("^%s+(%l+)")
        local ok, command = pcall(catalogue.get, name or "")
        if ok then
          seen = seen + 1
          local known = {}
          for _, list in ipairs { command.options or {}, help.global_options } do
            for _, option in ipairs(list) do known[option.name] = true end
          end
          for option in words:gsub("%s%-%-%s.*", ""):gmatch("%s%-%-([%l-]+)") do
            assert.is_true(known[option], ("orrery %s has no --%s: %s"):format(name, option, line))
          end
        end
      end
    end
    assert.is_true(seen > 15, seen)
  end)
end)
