--- env -- the global names of a session: everything of Lua, what is preset, what was assigned.
--
-- Names may be assigned freely. One that is undefined is an error, as a typing mistake would
-- otherwise be a silent nil.
local suggest = require "orrery.suggest"

local M = {}

local function names_of(env, live)
  local names = suggest.names(env)
  table.move(suggest.names(_G), 1, #suggest.names(_G), #names + 1, names)
  table.move(suggest.names(live), 1, #suggest.names(live), #names + 1, names)
  return names
end

--- A copy of a library with some of its functions replaced.
local function with(library, replaced)
  return setmetatable(replaced, { __index = library, __pairs = function(own)
    local all = {}
    for name, value in pairs(library) do all[name] = own[name] or value end
    return next, all, nil
  end })
end

--- A new environment. options: print(text), exit(code), preset = {name = value}, may_be_nil = names
-- that are no mistake without a value, live = {name = function giving its value at each reading}.
function M.new(options)
  local env, declared = {}, {}
  local live = options.live or {}
  for _, name in ipairs(options.may_be_nil or {}) do declared[name] = true end
  local function print_all(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    options.print(table.concat(texts, "\t") .. "\n")
  end
  local function undefined(name)
    error(('undefined name "%s"%s'):format(tostring(name),
      suggest.hint(tostring(name), names_of(env, live))), 3)
  end
  for name, value in pairs(options.preset or {}) do env[name] = value end
  env._G, env.print = env, print_all
  env.os = with(os, { exit = options.exit })
  env.io = with(io, { write = function(...)
    options.print(table.concat({ ... }))
    return io.stdout
  end })
  return setmetatable(env, {
    names = suggest.names(live),
    __index = function(_, name)
      if live[name] then return live[name]() end
      local value = _G[name]
      if value ~= nil or declared[name] then return value end
      undefined(name)
    end,
    __newindex = function(_, name, value)
      declared[name] = true
      rawset(env, name, value)
    end,
  })
end

return M
