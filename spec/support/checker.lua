--- checker -- runs checks in a process of its own, whose environment a test chooses. As a program:
---   checker.lua run SPECS     runs each once: a line of JSON for each verdict
---   checker.lua watch SPEC    tells each change of state until it is killed
local M = {}

local function main(verb, text)
  local core = require "orrery.core"
  local json = core.json
  local specs = assert(json.decode(text))
  io.stdout:setvbuf("line")
  if verb == "run" then
    for _, spec in ipairs(specs) do print(json.encode(core.check.run(spec))) end
    return
  end
  local h <close> = core.check.start(specs)
  while true do print(json.encode((h:next()))) end
end

local function command(verb, specs, env)
  local json = require("orrery.core").json
  local full = { PATH = os.getenv "PATH", LUA_PATH = os.getenv "LUA_PATH",
    LUA_CPATH = os.getenv "LUA_CPATH", LD_PRELOAD = os.getenv "LD_PRELOAD",
    ASAN_OPTIONS = os.getenv "ASAN_OPTIONS" }
  for name, value in pairs(env) do full[name] = value end
  return { "lua5.4", "spec/support/checker.lua", verb, json.encode(specs) }, full
end

--- The verdicts of checks that are run one after the other; by a program in front, if one is given.
function M.run(specs, env, before)
  local core = require "orrery.core"
  local words, full = command("run", specs, env)
  local argv = table.move(words, 1, #words, #(before or {}) + 1, table.move(before or {}, 1,
    #(before or {}), 1, {}))
  local result = assert(core.process.run { argv = argv, env = full, cwd = ".", timeout = 60 })
  assert(result.code == 0, result.stdout .. result.stderr)
  local verdicts = {}
  for line in result.stdout:gmatch("[^\n]+") do
    verdicts[#verdicts + 1] = assert(core.json.decode(line))
  end
  return verdicts
end

--- A check that goes on: {next() -> its next change, stop()}.
function M.watch(spec, env)
  local support = require "support"
  local core = require "orrery.core"
  local argv, full = command("watch", spec, env)
  local proc = assert(core.process.spawn { argv = argv, env = full, cwd = ".",
    log = { path = support.tmp() .. "/log" } })
  local told = 0
  local watch = {}
  function watch.next()
    told = told + 1
    local line = support.wait_until(function() return proc:tail(1000)[told] end, 15, "a change")
    return assert(core.json.decode(line:match("{.*}") or line))
  end
  function watch.stop()
    proc:kill()
    proc:wait(50)
  end
  return watch
end

if arg and arg[0] and arg[0]:find("checker%.lua$") then main(arg[1], arg[2]) end

return M
