--- sandbox -- where the scripts of users run: bounded, without I/O, with strict globals.
--
-- A script sees copies of the pure libraries, so it cannot change ours. It may take a second of
-- CPU and 256 MiB (orrery.script); whatever it reaches for beyond is an error with file and line.
local script = require "orrery.core".script
local suggest = require "orrery.suggest"

local M = {}

local SECONDS = 1

-- What Lua has and a script does not get, with the reason it is told.
local REFUSED = {
  io = "files are read by the agent, not by a script",
  os = "the environment is env(name, default)",
  debug = "it could leave the sandbox",
  load = "a script cannot compile others",
  loadstring = "a script cannot compile others",
  loadfile = "a script cannot compile others",
  dofile = "a script cannot compile others",
  require = "a script stands alone",
  package = "a script stands alone",
  coroutine = "a script of this kind cannot wait",
  collectgarbage = "memory is bounded for it",
  setmetatable = "a stack is made of plain tables",
  getmetatable = "a stack is made of plain tables",
  print = "a stack is evaluated without output; use error() to stop with a message",
}

local PLAIN = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawlen", "select", "tonumber",
  "tostring", "type",
}

local PATTERNS = { "find", "match", "gmatch", "gsub" }

local function copy(library, without)
  local result = {}
  for name, value in pairs(library) do result[name] = value end
  for _, name in ipairs(without) do result[name] = nil end
  return result
end

--- string.find without patterns, the one part of it that cannot run for ever.
local function find_plain(text, part, init) return string.find(text, part, init, true) end

local function string_library(patterns)
  if patterns then return copy(string, { "dump" }) end
  local result = copy(string, { "dump", table.unpack(PATTERNS) })
  result.find = find_plain
  return result
end

local WITH_PATTERNS, WITHOUT_PATTERNS = string_library(true), string_library(false)

local function strings_of(options)
  return options.patterns == false and WITHOUT_PATTERNS or WITH_PATTERNS
end

local function undefined(names, name)
  local reason = REFUSED[name]
  if reason then error(("%s is not available here: %s"):format(name, reason), 3) end
  error(('undefined name "%s"%s'):format(tostring(name), suggest.hint(name, names)), 3)
end

local function strict(env)
  local names = suggest.names(env)
  return setmetatable(env, {
    __index = function(_, name) undefined(names, name) end,
    __newindex = function(_, name)
      error(('"%s" would be global: write "local %s = ..."'):format(name, name), 2)
    end,
    __metatable = "locked",
  })
end

--- A new environment. `options.patterns = false` leaves out Lua patterns (filters, templates);
-- `options.extra` are further names.
function M.env(options)
  local env = {}
  for _, name in ipairs(PLAIN) do env[name] = _G[name] end
  env.string = copy(strings_of(options), {})
  env.table = copy(table, {})
  env.math = copy(math, { "random", "randomseed" })
  env.utf8 = copy(utf8, {})
  for name, value in pairs(options.extra or {}) do env[name] = value end
  env._VERSION = _VERSION
  return strict(env)
end

--- The prefix that Lua puts before messages of a chunk: it shortens long paths.
local function shown_as(path)
  local chunk = load("", "@" .. path)
  return debug.getinfo(chunk, "S").short_src .. ":"
end

--- An error of the script at `path` as {message, file, line}.
function M.problem(path, err)
  if type(err) == "table" then
    return { message = tostring(err.message or "it raised a table as its error"), file = path }
  end
  local text, prefix = tostring(err), shown_as(path)
  if text:sub(1, #prefix) ~= prefix then return { message = text, file = path } end
  local line, message = text:sub(#prefix + 1):match("^(%d+): (.*)$")
  return { message = message or text, file = path, line = math.tointeger(line) }
end

--- Methods of strings ("x"):rep() go through one metatable of the whole state; while a script runs
-- they are those of its own library.
local function with_strings(strings, ...)
  local class = getmetatable("")
  local before = class.__index
  class.__index = strings
  local function restore(...)
    class.__index = before
    return ...
  end
  return restore(script.call(SECONDS, ...))
end

--- Calls fn(...) bounded. Returns true, results | nil, error.
function M.call(options, fn, ...)
  return with_strings(strings_of(options), fn, ...)
end

--- Evaluates the text of a script: its value | nil, {message, file, line}.
function M.run(text, path, options)
  local fn, message = script.load(text, "@" .. path, M.env(options))
  if not fn and message:find("C stack overflow", 1, true) then message = "is nested too deep" end
  if not fn then return nil, M.problem(path, message) end
  local ok, value = M.call(options, fn)
  if not ok then return nil, M.problem(path, value) end
  return value
end

--- A function of a script, made bounded: it returns or raises as the function does.
function M.bound(options, path, fn)
  local function answer(ok, ...)
    if ok then return ... end
    local problem = M.problem(path, (...))
    if problem.line then error(("%s:%d: %s"):format(path, problem.line, problem.message), 0) end
    error(problem.message, 0)
  end
  return function(...) return answer(M.call(options, fn, ...)) end
end

return M
