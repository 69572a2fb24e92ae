--- variables -- declared variables against the values they were given: all problems at once.
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"
local values = require "orrery.template.values"

local M = {}

local MAX_DEPTH = 16
local MAX_SHOWN = 40 -- characters of a refused value in a message

--- What a required variable without a value is reported as.
function M.missing(name) return ("Required variable '%s' is missing"):format(name) end

local function matches(kind, value)
  local found = values.kind(value)
  if kind == nil or kind == found then return true end
  return type(value) == "table" and next(value) == nil and (kind == "array" or kind == "object")
end

local function shown(value)
  local text = type(value) == "string" and ("%q"):format(value) or tostring(value)
  return #text <= MAX_SHOWN and text or text:sub(1, MAX_SHOWN) .. "..."
end

local function wrong_type(name, declared, value)
  local what = values.kind(value)
  local remedy = ""
  if what == "string" and (declared.type == "number" or declared.type == "boolean") then
    remedy = "; write it without quotes"
  end
  return ("%s must be %s %s, not %s %s%s"):format(name, declared.type:match("^[aeo]") and "an"
    or "a", declared.type, what:match("^[aeo]") and "an" or "a", what, remedy)
end

local function one_of(value, list)
  for _, allowed in ipairs(list) do if values.equal(value, allowed) then return true end end
  return false
end

local function enum_complaint(name, declared, value)
  if one_of(value, declared.enum) then return nil end
  local names = {}
  for i, allowed in ipairs(declared.enum) do names[i] = tostring(allowed) end
  local hint = not declared.secret and suggest.hint(tostring(value), names) or ""
  local what = declared.secret and "its value" or shown(value)
  return ("%s: %s is not one of %s%s"):format(name, what, table.concat(names, ", "), hint)
end

-- Of a number its value is bounded; of a string or list its length.
local function bound_complaint(name, declared, value)
  local size, what = value, "must be"
  if type(value) == "string" then
    size, what = utf8.len(value) or #value, "must have a length of"
  end
  if type(value) == "table" then size, what = #value, "must have a length of" end
  if type(size) ~= "number" then return nil end
  if declared.min and size < declared.min then
    return ("%s %s at least %s"):format(name, what, tostring(declared.min))
  end
  if declared.max and size > declared.max then
    return ("%s %s at most %s"):format(name, what, tostring(declared.max))
  end
end

local complaint -- defined below: properties are declarations again

local function property_complaint(name, declared, value, depth)
  for _, key in ipairs(suggest.names(declared.properties)) do
    local property, path = declared.properties[key], name .. "." .. key
    local found = value[key]
    if found == nil and property.required then return M.missing(path) end
    if found ~= nil then
      local problem = complaint(path, property, found, depth + 1)
      if problem then return problem end
    end
  end
end

function complaint(name, declared, value, depth)
  if value == values.null and not declared.required then return nil end
  if declared.type == "service" then
    if type(value) == "string" or value == false then return nil end
    return name .. " must be the name of a service"
  end
  if not matches(declared.type, value) then return wrong_type(name, declared, value) end
  if declared.enum then
    local problem = enum_complaint(name, declared, value)
    if problem then return problem end
  end
  local problem = bound_complaint(name, declared, value)
  if problem or not declared.properties or depth > MAX_DEPTH then return problem end
  return property_complaint(name, declared, value, depth)
end

--- What is wrong with a value of a declared variable, in a sentence, or nil. What is secret in it
--- is compared, but not shown.
function M.complaint(name, declared, value)
  local has_secret = declared.secret
  local plain, why = values.plain(value, function(found)
    has_secret = true
    return secret.reveal(found) or ""
  end)
  if plain == nil then return ("%s: %s"):format(name, why) end
  if has_secret then declared = setmetatable({secret = true}, {__index = declared}) end
  return complaint(name, declared, plain, 0)
end

local function undeclared(self, problems)
  local declared = self.service.variables or {}
  if next(declared) == nil then return end
  for _, name in ipairs(suggest.names(self.service.settings or {})) do
    if not declared[name] and not self.extra[name] then
      problems[#problems + 1] = {path = ("services.%s.settings.%s"):format(self.name, name),
        message = ("'%s' is not a variable of this service%s"):format(name,
          suggest.hint(name, suggest.names(declared)))}
    end
  end
end

local function add(self, problems, name)
  local value, problem = self:get(name)
  if value ~= nil or problem.pending then return end
  local given = (self.service.settings or {})[name] ~= nil
  problems[#problems + 1] = {message = problem.message,
    path = ("services.%s.%s.%s"):format(self.name, given and "settings" or "variables", name)}
end

-- A required variable is not met by null.
local function missing(self, name, declared)
  if not declared.required or declared.type == "service" then return false end
  local value = (self.service.settings or {})[name]
  return value == values.null
end

local function all_declared(self)
  local all = {}
  for _, map in ipairs {self.service.variables or {}, self.extra} do
    for name, declared in pairs(map) do all[name] = declared end
  end
  return all
end

-- A secret is fetched when it is needed, not to be checked.
local function is_deferred(self, name, declared)
  local value = (self.service.settings or {})[name]
  return secret.is(value) or (value == nil and declared.generate ~= nil)
end

--- Every problem of the variables of a scope: a list of {path, message}.
function M.check(self)
  local problems, all = {}, all_declared(self)
  for _, name in ipairs(suggest.names(all)) do
    if missing(self, name, all[name]) then
      problems[#problems + 1] = {message = M.missing(name),
        path = ("services.%s.settings.%s"):format(self.name, name)}
    elseif not is_deferred(self, name, all[name]) then
      add(self, problems, name)
    end
  end
  undeclared(self, problems)
  return problems
end

return M
