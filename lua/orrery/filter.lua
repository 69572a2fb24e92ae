--- filter -- what filters share: their arguments checked, and lists made.
local core = require "orrery.core"
local secret = require "orrery.secret"
local values = require "orrery.template.values"

local M = {}

M.is_list = values.is_list

local of_services = setmetatable({}, {__mode = "k"})

--- Says of a filter that it looks into the items of a list by field() only. It is given services as
--- they are, whose fields are worked out when they are asked for: a list may have thousands. Any
--- other filter is given plain copies.
function M.of_services(filter)
  of_services[filter] = true
  return filter
end

--- Whether a filter takes services as they are.
function M.takes_services(filter) return of_services[filter] == true end

--- A string, number or boolean as text; anything else is refused. `what` names the argument.
function M.text(value, what)
  if type(value) == "string" then return value end
  local text, kind = values.text(value)
  if text then return text end
  if kind == "null" then
    error(what and what .. " is missing" or "it has no value; use | default(...) before", 0)
  end
  error(("%s must be text, not a %s"):format(what or "the value", kind), 0)
end

function M.list(value)
  if M.is_list(value) then return value end
  error("the value must be a list, not a " .. values.kind(value), 0)
end

--- The keys of a map, sorted.
function M.keys(value)
  if type(value) ~= "table" or value[1] ~= nil then
    error("the value must be a map, not a " .. values.kind(value), 0)
  end
  return values.keys(value)
end

--- Marks a list, so that it stays one when it is empty.
function M.mark(list)
  if getmetatable(list) then return list end
  return core.json.array(list)
end

function M.copy(value) return M.mark({table.unpack(M.list(value))}) end

local MAX_TEXT = 16 * 1024 * 1024
local MAX_SEARCH = 4000000000 -- bytes of a text times those of what is searched for in it
local MAX_PARTS = 2000000

--- Refuses to make a text of so many bytes, before it is made.
function M.bound(size)
  if size > MAX_TEXT then error("the result would be over 16 MiB", 0) end
end

--- Refuses to search a text for another one where that could take for ever: in the worst case each
--- byte of the one is compared with each of the other.
function M.bound_search(text, part)
  if #text * #part <= MAX_SEARCH then return end
  error("the texts are too long to search one in the other", 0)
end

--- A value to put into a list: null keeps its place there.
function M.value(value)
  if value == nil then return values.null end
  return value
end

-- A field of a service; nil if it is secret or not known, as a copy would have it.
local function service_field(view, name)
  local found = view.index(name)
  if secret.is(found) then return nil end
  return found
end

--- A field of the i-th item of a list, or nil; the item must be a map.
function M.field(item, name, i)
  if type(name) ~= "string" then error("the field must be named by a text", 0) end
  local view = values.view_of(item)
  if view then return service_field(view, name) end
  if type(item) ~= "table" or item[1] ~= nil then
    error(("item %d must be a map, not a %s"):format(i - 1, values.kind(item)), 0)
  end
  return item[name]
end

--- The parts of a text between a separator that is taken literally.
function M.cut(text, separator)
  local parts, from = {}, 1
  M.bound_search(text, separator)
  for i = 1, MAX_PARTS do
    local start, stop = text:find(separator, from, true)
    parts[i] = text:sub(from, (start or 0) - 1)
    if not start then return M.mark(parts) end
    from = stop + 1
  end
  error("the text has more than two million parts", 0)
end

local function number_of(port)
  local number = #port <= 5 and port:find("^%d+$") and math.tointeger(tonumber(port))
  if number and number >= 1 and number <= 65535 then return number end
  error("this has no valid port", 0)
end

-- An IPv6 address without brackets, as records have it.
local function bare_ipv6(text)
  return text:find("^[%x.]*:[%x.]*:[%x:.]*$") and text or text:match("^%x+:[%x:.]*%%[%w._-]+$")
end

--- The host, the port (or nil) and the scheme (or nil) of a URL, of host:port or of an IP address.
function M.url(value)
  local text = M.text(value)
  if #text > 8192 then error("a URL of more than 8192 characters", 0) end
  if bare_ipv6(text) then return text end
  local scheme, rest = text:match("^(%a[%w+.-]*)://(.*)$")
  local authority = (rest or text):match("^[^/?#]*")
  local behind = authority:match("^.*@(.*)$") or authority
  local host, port = behind:match("^%[([%x:.]+%%?[%w._-]*)%]:?(%d*)$")
  if not host then host, port = behind:match("^([^:%[%]]+):?(%d*)$") end
  if not host or host == "" then error("this has no host", 0) end
  return host, port ~= "" and number_of(port) or nil, scheme and scheme:lower()
end

return M
