--- runner -- runs a user's script as the program: `orrery script FILE`, a host's orrery_start().
--
-- The script has everything that Lua has, and `require "orrery"`; its globals are strict. It ends
-- when its main chunk returns or any of its tasks calls os.exit(); tasks left over are cancelled.
local core = require "orrery.core"
local suggest = require "orrery.suggest"

local M = {}

local FOREVER = 1e8

--- True while the main chunk of a script runs, which declares globals by assigning them.
local function in_main_chunk()
  local what = debug.getinfo(3, "S").what
  return what == "main" or what == "C"
end

--- An environment over _G where a global that nobody declared is an error.
local function strict(env)
  local declared = {}
  return setmetatable(env, {
    __index = function(_, name)
      local value = _G[name]
      if value ~= nil or declared[name] then return value end
      error(('undefined name "%s"%s'):format(tostring(name), suggest.hint(tostring(name),
        suggest.names(_G))), 2)
    end,
    __newindex = function(_, name, value)
      if not declared[name] and not in_main_chunk() then
        error(('"%s" would be global: write "local %s = ...", or declare it in the main chunk')
          :format(tostring(name), tostring(name)), 2)
      end
      declared[name] = true
      rawset(env, name, value)
    end,
  })
end

local function code_of(value)
  if value == nil or value == true then return 0 end
  if value == false then return 1 end
  local code = math.tointeger(value)
  if not code then error("an exit code must be an integer or a boolean", 3) end
  return code & 255
end

--- os as the script has it: exit() ends the script in order, not the process at once.
local function os_of(ended)
  local result = {}
  for name, value in pairs(os) do result[name] = value end
  function result.exit(value)
    ended:push({ code = code_of(value) })
    core.time.sleep(FOREVER) -- the task is cancelled here
  end
  return result
end

--- What the main chunk returned, as an exit code and a message: an integer or a boolean is the
-- code, nothing is 0, and nil with a message is a failure.
local function outcome(value, message)
  if value == nil and message ~= nil then return { code = 1, message = tostring(message) } end
  local ok, code = pcall(code_of, value)
  return { code = ok and code or 0 }
end

local OURS = debug.getinfo(1, "S").short_src

--- Whether a line of a traceback is of the script, not of what runs it.
local function is_of_script(line)
  return not (line:find(OURS, 1, true) or line:find("[C]: in function 'error'", 1, true)
    or line:find("[C]: in function 'xpcall'", 1, true) or line:find("(...tail calls...)", 1, true))
end

local function explain(err)
  if err == "cancelled" then return err end
  local lines = {}
  for line in debug.traceback(tostring(err), 2):gmatch("[^\n]+") do
    if is_of_script(line) then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

local function run_main(main, words)
  local ok, value, message = xpcall(main, explain, table.unpack(words))
  if not ok then error(value, 0) end
  return value, message
end

--- Queued before the script's task is, so that it joins in time to be told of its failure.
local function report_end(script, ended) ended:push(outcome(script.task:join())) end

--- Runs the file words[0] with the arguments words[1], ... Waits.
-- Returns its exit code, and why it failed.
function M.run(words)
  local path = words[0]
  local text, message = core.file.read(path)
  if not text then return 1, message end
  local ended = core.task.queue()
  local env = strict({ arg = words, os = os_of(ended) })
  rawset(env, "_G", env)
  local main, err = core.script.load(text, "@" .. path, env)
  if not main then return 1, err end
  local script = {}
  local watcher = core.task.spawn(report_end, script, ended)
  script.task = core.task.spawn(run_main, main, words)
  local result = ended:pop()
  watcher:cancel()
  script.task:cancel()
  return result.code, result.message
end

return M
