--- dot -- the dot commands: those of the command line, and a few of the session's own.
local args = require "orrery.cli.args"
local catalogue = require "orrery.cli.catalogue"
local core = require "orrery.core"
local help = require "orrery.cli.help"
local suggest = require "orrery.suggest"

local M = {}

-- Commands of the command line, on the stack of the session.
local SHARED = { "check", "config", "doctor", "env", "events", "graph", "logs", "plan", "render",
  "services", "status", "validate", "why" }

local OWN = {
  help = "what can be typed here; .help COMMAND: the page of one",
  load = "FILE  run a Lua file in this session",
  quit = "end the session (Ctrl-D does, too)",
  reread = "read the stack again: the names stack, plan and s",
  trace = "the traceback of the last error; on, off: show it at each error",
}

--- The names of all dot commands, sorted.
M.names = table.move(SHARED, 1, #SHARED, 1, {})
for name in pairs(OWN) do M.names[#M.names + 1] = name end
table.sort(M.names)

local function is_shared(name)
  for _, shared in ipairs(SHARED) do if shared == name then return true end end
  return false
end

--- The words of a line; quotes hold together what has spaces in it.
function M.words(line)
  local words, at = {}, 1
  while true do
    local quote
    at = line:find("%S", at)
    if not at then return words end
    quote = line:sub(at, at):match("[\"']")
    local first, last, word = line:find(quote and "^(.-)" .. quote or "^(%S+)",
      quote and at + 1 or at)
    if not first then args.misuse("the quote %s is not closed", quote) end
    words[#words + 1] = word
    at = last + 1
  end
end

local function options_of(command)
  local options = table.move(command.options or {}, 1, #(command.options or {}), 1, {})
  options[#options + 1] = { name = "help", short = "h", summary = "show help" }
  return options
end

--- Runs a command of the command line as `orrery -f STACK NAME WORDS` does.
local function run_shared(session, name, words)
  local command = catalogue.get(name)
  local options = options_of(command)
  local given, rest = args.read(words, options)
  if given.help then return help.command(command) end
  args.count(rest, command.arguments)
  args.defaults(given, options)
  for _, key in ipairs { "file", "node", "set" } do given[key] = session.options[key] end
  return command.run({ program = session.program, command = command, options = given, args = rest })
end

local own = {}

local function add(lines, name, text) lines[#lines + 1] = ("  .%-10s %s"):format(name, text) end

function own.help(session, words)
  if words[1] and is_shared(words[1]) then return help.command(catalogue.get(words[1])) end
  local lines = { "Lua: an expression shows its value (also as _), a statement is run. Names here:",
    "  " .. session.about, "", "Dot commands, with the words they take on the command line:" }
  for _, name in ipairs(M.names) do
    add(lines, name, OWN[name] or catalogue.get(name).summary)
  end
  table.move({ "", "Keys: TAB completes, up-arrow recalls, Ctrl-R finds a line that has what is "
    .. "typed in it,", "Ctrl-C stops what runs, Ctrl-D ends. A line that begins with a space is "
    .. "not kept." }, 1, 3, #lines + 1, lines)
  session:write(table.concat(lines, "\n") .. "\n")
end

function own.load(session, words)
  local path = words[1] or args.misuse("which file? .load FILE")
  local text, message = core.file.read(path)
  if not text then error({ exit = 1, message = message }, 0) end
  local fn
  fn, message = core.script.load(text, "@" .. path, session.env)
  if not fn then error({ exit = 1, message = message }, 0) end
  return fn()
end

function own.quit(session) session:finish(0) end

function own.reread(session)
  if not session.reread then args.misuse("an attached session reads anew at each access") end
  session.reread()
end

function own.trace(session, words)
  if words[1] == "on" or words[1] == "off" then
    session.traces = words[1] == "on"
  elseif words[1] then
    args.misuse(".trace takes on, off or nothing, not %q", words[1])
  else
    session:write((session.last_trace or "no error has a traceback yet") .. "\n")
  end
end

--- Whether a line is a dot command; .5 is a number.
function M.is(line) return line:find("^%s*%.%a") ~= nil end

--- Runs the command in `line`. Misuse and failures raise {exit, message}. May wait.
function M.run(session, line)
  local words = M.words(line)
  local name = table.remove(words, 1):sub(2)
  if own[name] then return own[name](session, words) end
  if is_shared(name) then return run_shared(session, name, words) end
  args.misuse("there is no .%s%s (.help lists them)", name, suggest.hint(name, M.names))
end

return M
