--- diff -- what has changed between the stack that runs and the one in its file, and what that
-- means for each service. Pure.
--
-- What a change means, from the least to the most: "nothing" (taken over as it is), "checks" (new
-- checks in place of the old), "files" (its files are written again and taken up), "restart".
local core = require "orrery.core"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"

local M = {}

local array = core.json.array
local MAX_DEPTH = 40

local RANK = { nothing = 1, checks = 2, files = 3, restart = 4 }

-- What a changed key of a service means; every other one is a restart.
local MEANS = {
  tags = "nothing", meta = "nothing", restart = "nothing", stop = "nothing",
  dependencyTimeout = "nothing", onDependencyFailure = "nothing", replicas = "nothing",
  readyWhen = "nothing", healthChecks = "checks", config = "files",
}
local RENDERED = { tags = true, meta = true }
-- What follows from other keys, or from the stack's place on the disk.
local DERIVED = { name = true, instances = true, dirs = true }
-- What others see of a service: those that depend on it have it in their environment.
local SEEN = { "address", "bind", "did", "hostname", "port", "ports", "publicUrl", "scheme", "url" }
-- What cannot change under a running agent.
local FIXED = { "name", "node", "nodes", "dirs", "discovery" }

-- Loading gives new functions each time; they are the same if their code is.
local function same_function(a, b)
  local ok, left = pcall(string.dump, a, true)
  local also, right = pcall(string.dump, b, true)
  return ok and also and left == right
end

local function same(a, b, depth)
  if a == b then return true end
  if type(a) == "function" and type(b) == "function" then return same_function(a, b) end
  if type(a) ~= "table" or type(b) ~= "table" or secret.is(a) or secret.is(b) then return false end
  if depth > MAX_DEPTH then return false end
  for key, value in pairs(a) do if not same(value, b[key], depth + 1) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end

local function names_of(...)
  local all = {}
  for _, map in ipairs({ ... }) do for name in pairs(map) do all[name] = true end end
  return suggest.names(all)
end

-- ---- one service ----

local function set_of(map)
  local set = {}
  for name in pairs(map or {}) do set[name] = true end
  return set
end

local function mentions(value, text, depth)
  if type(value) == "string" then return value:find(text, 1, true) ~= nil end
  if type(value) ~= "table" or secret.is(value) or depth > MAX_DEPTH then return false end
  for _, item in pairs(value) do if mentions(item, text, depth + 1) then return true end end
  return false
end

--- A dependency that comes or goes changes the environment; its type and times do not.
local function means(key, old, new)
  if RENDERED[key] and (mentions(new[key], "${", 0) or mentions(new[key], "%{", 0)) then
    return "restart" -- they are rendered when it starts
  end
  if key == "dependencies" and same(set_of(old[key]), set_of(new[key]), 0) then return "nothing" end
  return MEANS[key] or "restart"
end

local function changed_keys(old, new)
  local keys, action = array({}), nil
  for _, key in ipairs(names_of(old, new)) do
    if not DERIVED[key] and not same(old[key], new[key], 0) then
      keys[#keys + 1] = key
      local found = means(key, old, new)
      if not action or RANK[found] > RANK[action] then action = found end
    end
  end
  return keys, action
end

-- ---- what others see ----

local function looks_different(old, new)
  for _, key in ipairs(SEEN) do if not same(old[key], new[key], 0) then return key end end
end

local function affected(service, name)
  return service.dependencies[name] or mentions(service, "service." .. name .. ".", 0)
    or mentions(service, "services." .. name, 0)
end

local function add_change(diff, name, key, action)
  local change = diff.by_name[name]
  if not change then
    change = { service = name, keys = array({}), action = action }
    diff.by_name[name] = change
  end
  change.keys[#change.keys + 1] = key
  if RANK[action] > RANK[change.action] then change.action = action end
end

--- Restarts of those whose own tables are the same, but not what they are rendered with.
local function add_affected(diff, old, new)
  local seen = {}
  for name, service in pairs(new.services) do
    local before = old.services[name]
    seen[name] = before and looks_different(before, service)
  end
  local base = not same(old.domain, new.domain, 0) and "stack.domain"
    or not same(old.settings, new.settings, 0) and "stack.settings"
  for name, service in pairs(new.services) do
    if old.services[name] then
      for other, key in pairs(seen) do
        if other ~= name and affected(service, other) then
          add_change(diff, name, ("service.%s.%s"):format(other, key), "restart")
        end
      end
      if base and mentions(service, "stack.", 0) then add_change(diff, name, base, "restart") end
    end
  end
end

--- The time to wait is a part of each service.
local function other_coordination(old, new)
  return old.strategy ~= new.strategy or old.enableHealthChecks ~= new.enableHealthChecks
end

local function refused_for(key)
  return ("%s of the stack has changed, which a running agent cannot take over; run "
    .. "`orrery down` and `orrery up`"):format(key)
end

local function refusal(old, new)
  for _, key in ipairs(FIXED) do
    if not same(old[key], new[key], 0) then return refused_for(key) end
  end
  if other_coordination(old.coordination, new.coordination) then
    return refused_for("coordination")
  end
end

local function listed(by_name)
  local list = array({})
  for _, name in ipairs(suggest.names(by_name)) do
    table.sort(by_name[name].keys)
    list[#list + 1] = by_name[name]
  end
  return list
end

--- The difference from the stack `old` to `new`: {added, removed = lists of names, changed = list
-- of {service, keys, action}, by_name = the same by service, refused = sentence | nil, empty}.
function M.of(old, new)
  local diff = { added = array({}), removed = array({}), by_name = {}, refused = refusal(old, new) }
  for _, name in ipairs(names_of(old.services, new.services)) do
    local before, after = old.services[name], new.services[name]
    if not before then
      table.insert(diff.added, name)
    elseif not after then
      table.insert(diff.removed, name)
    else
      local keys, action = changed_keys(before, after)
      if action then diff.by_name[name] = { service = name, keys = keys, action = action } end
    end
  end
  add_affected(diff, old, new)
  diff.changed = listed(diff.by_name)
  diff.empty = #diff.added + #diff.removed + #diff.changed == 0 and not diff.refused
  return diff
end

local WORDS = {
  nothing = "is taken over, without a restart", checks = "gets its new checks, without a restart",
  files = "gets its files written again", restart = "is restarted",
}

--- The difference as lines of text.
function M.lines(diff)
  local lines = {}
  if diff.refused then lines[1] = diff.refused end
  for _, name in ipairs(diff.removed) do lines[#lines + 1] = ("- %s is stopped"):format(name) end
  for _, name in ipairs(diff.added) do lines[#lines + 1] = ("+ %s is started"):format(name) end
  for _, change in ipairs(diff.changed) do
    lines[#lines + 1] = ("~ %s %s (%s)"):format(change.service, WORDS[change.action],
      table.concat(change.keys, ", "))
  end
  return lines
end

--- What of a difference can be printed and sent.
function M.view(diff)
  return { added = diff.added, removed = diff.removed, changed = diff.changed,
    refused = diff.refused, empty = diff.empty }
end

return M
