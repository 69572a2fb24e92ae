--- options -- which backends a stack's `discovery` names, in which order, and what each is told.
local core = require "orrery.core"
local merge = require "orrery.merge"
local plugin = require "orrery.plugin"
local schema = require "orrery.schema"
local suggest = require "orrery.suggest"

local M = {}

local FIELDS = schema.discovery.fields

local builtin = {}
for _, name in ipairs(schema.backends) do builtin[name] = true end

--- Whether a backend is one of the five; the others are files.
function M.is_builtin(name) return builtin[name] == true end

--- The names of the backends, the one that is asked first at the front.
function M.chain(discovery)
  return { discovery.backend or FIELDS.backend.default, table.unpack(discovery.fallback or {}) }
end

--- What a key is when it is not given.
function M.default(key) return FIELDS[key].default end

--- A relative path is one below the stack's folder.
local function absolute(path, dir)
  if type(path) ~= "string" or path:sub(1, 1) == "/" or not dir then return path end
  return dir .. "/" .. path
end

local function is_path(key) return key:find("File$") ~= nil or key == "filePath" end

--- What the built-in backend `name` is told: the keys that are for it, with their defaults, and
-- paths as they are from `dir`. Secrets are still secrets.
function M.of(discovery, name, dir)
  local options = {}
  for key, field in pairs(FIELDS) do
    if field.of_backend == name then
      local value = discovery[key]
      if value == nil then value = merge.copy(field.default) end
      options[key] = is_path(key) and absolute(value, dir) or value
    end
  end
  return options
end

-- ---- what is wrong with them ----

local function unknown_backend(name, dir)
  if M.is_builtin(name) then return nil end
  local path, message = plugin.find("backend", name, dir)
  if path then return nil end
  if name:find("/", 1, true) then return message end
  return ('"%s" is not one of %s, nor a file of backends/%s'):format(name,
    table.concat(schema.backends, ", "), suggest.hint(name, schema.backends))
end

local function verify_chain(discovery, ctx, add)
  local seen = {}
  for i, name in ipairs(M.chain(discovery)) do
    local path = i == 1 and "discovery.backend" or ("discovery.fallback[%d]"):format(i - 1)
    local complaint = unknown_backend(name, ctx.place.dir)
    if seen[name] then complaint = ('"%s" is named twice'):format(name) end
    if complaint then add(ctx, path, "%s", complaint) end
    seen[name] = true
  end
  return seen
end

--- Whether the user wrote a key: what a profile says for its own backend does not disturb another.
local function is_users(ctx, path)
  local origin = ctx.origin[path]
  return origin == ctx.place.file or origin == "--set"
end

--- `options` is a map, whose values have an origin each.
local function has_users_options(ctx, options)
  for key in pairs(options or {}) do
    if is_users(ctx, "discovery.options." .. key) then return true end
  end
  return false
end

--- Adds what is wrong with `stack.discovery` beyond the schema, through add(ctx, path, format ...).
function M.verify(stack, ctx, add)
  local discovery = stack.discovery
  local used = verify_chain(discovery, ctx, add)
  for _, key in ipairs(suggest.names(discovery)) do
    local owner = FIELDS[key] and FIELDS[key].of_backend
    if owner and not used[owner] and is_users(ctx, "discovery." .. key) then
      add(ctx, "discovery." .. key, 'is for the backend %s, and backend is "%s"; leave it out, or '
        .. 'set backend = "%s"', owner, M.chain(discovery)[1], owner)
    end
  end
  for name in pairs(used) do if not M.is_builtin(name) then return end end
  if has_users_options(ctx, discovery.options) then
    add(ctx, "discovery.options", "are for a backend of backends/, and none is named")
  end
end

--- The keys of the built-in backends by their owner, from the engine: what the schema must match.
function M.engine_keys()
  local owners = {}
  for _, kind in ipairs(core.discovery.kinds()) do
    for _, key in ipairs(core.discovery.options(kind)) do owners[key] = kind end
  end
  return owners
end

return M
