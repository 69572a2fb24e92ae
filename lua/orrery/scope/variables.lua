--- variables -- declared variables against the values they were given: all problems at once.
local pattern = require "orrery.pattern"
local secret = require "orrery.secret"
local suggest = require "orrery.suggest"
local values = require "orrery.template.values"

local M = {}

local MAX_DEPTH = 16
local MAX_SHOWN = 40 -- characters of a refused value in a message

--- What a required variable without a value is reported as.
function M.missing(name) return ("Required variable '%s' is missing"):format(name) end

local function matches_type(kind, value)
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

local function pattern_complaint(name, declared, value)
  if type(value) ~= "string" then return nil end
  local matches, message = pattern.compile(declared.pattern)
  if not matches then return ("%s: its pattern cannot be used: %s"):format(name, message) end
  local fits, why = matches(value)
  if fits then return nil end
  if why then return ("%s %s, so its pattern cannot be checked"):format(name, why) end
  return ("%s: %s does not match the pattern %s"):format(name,
    declared.secret and "its value" or shown(value), declared.pattern)
end

local complain -- defined below: properties are declarations again

local function complain_of_properties(found, name, declared, value, depth)
  for _, key in ipairs(suggest.names(declared.properties)) do
    local property, path, one = declared.properties[key], name .. "." .. key, value[key]
    if declared.secret and not property.secret then
      property = setmetatable({secret = true}, {__index = property})
    end
    if one == nil and property.default == nil and property.required then
      found[#found + 1] = M.missing(path)
    elseif one ~= nil then
      complain(found, path, property, one, depth + 1)
    end
  end
  for _, key in ipairs(suggest.names(value)) do
    if not declared.properties[key] then
      found[#found + 1] = ("%s has no property '%s'%s"):format(name, key,
        suggest.hint(key, suggest.names(declared.properties)))
    end
  end
end

local function complain_of_value(found, name, declared, value)
  if declared.enum then found[#found + 1] = enum_complaint(name, declared, value) end
  found[#found + 1] = bound_complaint(name, declared, value)
  if declared.pattern then found[#found + 1] = pattern_complaint(name, declared, value) end
end

-- Appends what is wrong with a value, and with each property of it.
function complain(found, name, declared, value, depth)
  if value == values.null then
    if declared.required then found[#found + 1] = M.missing(name) end
  elseif declared.type == "service" then
    if type(value) ~= "string" and value ~= false then
      found[#found + 1] = name .. " must be the name of a service"
    end
  elseif not matches_type(declared.type, value) then
    found[#found + 1] = wrong_type(name, declared, value)
  else
    complain_of_value(found, name, declared, value)
    if declared.properties and type(value) == "table" and depth <= MAX_DEPTH then
      complain_of_properties(found, name, declared, value, depth)
    end
  end
end

--- Everything that is wrong with a value of a declared variable: a list of sentences. What is
--- secret in it is compared, but not shown.
function M.complaints(name, declared, value)
  local has_secret = declared.secret
  local plain, why = values.plain(value, function(found)
    has_secret = true
    return secret.reveal(found) or ""
  end)
  if plain == nil then return {("%s: %s"):format(name, why)} end
  if has_secret then declared = setmetatable({secret = true}, {__index = declared}) end
  local found = {}
  complain(found, name, declared, plain, 0)
  return found
end

local function property_value(property, value)
  if value == nil then value = property.default end
  if value == nil then return nil end
  if property.secret and type(value) == "string" then return secret.of(value) end
  return M.filled(property, value)
end

--- A value with the defaults of its properties, and with those that are secret hidden.
function M.filled(declared, value)
  if not declared.properties or type(value) ~= "table" or secret.is(value) then return value end
  if values.view_of(value) or value[1] ~= nil then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, one in pairs(value) do copy[key] = one end
  for key, property in pairs(declared.properties) do
    copy[key] = property_value(property, value[key])
  end
  return copy
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
  local path = ("services.%s.%s.%s"):format(self.name, given and "settings" or "variables", name)
  for _, message in ipairs(problem.all or {problem.message}) do
    problems[#problems + 1] = {message = message, path = path}
  end
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
