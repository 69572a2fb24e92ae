--- args -- command line words to options and arguments, by an option table.
--
-- An option is {name="timeout", short="t", value="SECONDS", type="number", default=60,
-- summary="..."}. Without `value` it is a switch. `choices` lists the values allowed, `many` keeps
-- every use in a list, `hidden` keeps it out of the help. Misuse raises {exit=2, message=...}.
local suggest = require "orrery.suggest"

local M = {}

local MAX_WORDS = 10000

function M.misuse(message, ...)
  error({exit = 2, message = select("#", ...) > 0 and message:format(...) or message}, 0)
end

local function option_names(options)
  local names = {}
  for _, option in ipairs(options) do
    if not option.hidden then names[#names + 1] = "--" .. option.name end
  end
  return names
end

local function find(options, key, word)
  for _, option in ipairs(options) do
    if option[key] == word then return option end
  end
end

local function number(option, shown, text)
  local value = tonumber(text)
  if not value or value ~= value or value < 0 or value >= 1e9 then
    local of = #option.value > 1 and " of " .. option.value:lower() or ""
    M.misuse("%s needs a number%s, not %q", shown, of, text)
  end
  if option.type == "integer" and value ~= math.floor(value) then
    M.misuse("%s needs a whole number, not %q", shown, text)
  end
  return option.type == "integer" and math.floor(value) or value
end

local function choice(option, shown, text)
  for _, allowed in ipairs(option.choices) do
    if allowed == text then return text end
  end
  M.misuse("%s: %q is not one of %s%s", shown, text, table.concat(option.choices, ", "),
    suggest.hint(text, option.choices))
end

local function convert(option, shown, text)
  if option.type then return number(option, shown, text) end
  if option.choices then return choice(option, shown, text) end
  if text == "" then M.misuse("%s needs a value: %s", shown, option.value) end
  return text
end

local function store(result, option, value)
  if option.many then
    local list = result[option.name] or {}
    list[#list + 1] = value
    result[option.name] = list
  else
    result[option.name] = value
  end
end

--- The words still to be read: words.at moves on.
local function take_value(words, option, shown)
  words.at = words.at + 1
  local value = words[words.at]
  if not value then M.misuse("%s needs a value: %s %s", shown, shown, option.value) end
  return value
end

local function read_long(result, options, words, word)
  local name, value = word:match("^%-%-([^=]+)=(.*)$")
  name = name or word:sub(3)
  local shown = "--" .. name
  local option = find(options, "name", name)
  if not option then
    M.misuse("there is no option %s%s", shown, suggest.hint(shown, option_names(options)))
  end
  if option.value then
    store(result, option, convert(option, shown, value or take_value(words, option, shown)))
  elseif value then
    M.misuse("%s is a switch and takes no value", shown)
  else
    store(result, option, true)
  end
end

local function unknown_short(shown, options)
  if shown == "-f" and find(options, "name", "file") then
    M.misuse("-f STACK goes before the command; after it, write --file STACK")
  end
  M.misuse("there is no option %s", shown)
end

--- -n10, -n 10, -fn10.
local function read_short(result, options, words, word)
  local at = 2
  while at <= #word do
    local shown = "-" .. word:sub(at, at)
    local option = find(options, "short", word:sub(at, at)) or unknown_short(shown, options)
    at = at + 1
    if option.value then
      local rest = word:sub(at)
      local value = rest ~= "" and rest or take_value(words, option, shown)
      store(result, option, convert(option, shown, value))
      return
    end
    store(result, option, true)
  end
end

--- Reads words[words.at ..] into {option = value} and the list of other words, whose field `before`
-- is how many came before a "--". With `until_word` it stops before the first word that is no
-- option.
function M.read(words, options, until_word)
  if #words > MAX_WORDS then M.misuse("too many arguments (%d)", #words) end
  local result, rest = {}, {}
  local only_words = false
  words.at = words.at or 1
  while words.at <= #words do
    local word = words[words.at]
    if only_words or word == "-" or word:sub(1, 1) ~= "-" then
      if until_word then break end
      rest[#rest + 1] = word
    elseif word == "--" then
      only_words = true
      rest.before = #rest
    elseif word:sub(1, 2) == "--" then
      read_long(result, options, words, word)
    else
      read_short(result, options, words, word)
    end
    words.at = words.at + 1
  end
  return result, rest
end

--- Fills in the defaults that a table of options declares.
function M.defaults(result, options)
  for _, option in ipairs(options) do
    if result[option.name] == nil then result[option.name] = option.default end
  end
  return result
end

--- Checks the arguments against "SERVICE", "[NAME]", "SERVICE..." or "[SERVICE...]" words.
function M.count(rest, arguments)
  local min, max = 0, 0
  for _ in (arguments or ""):gsub("%b[]", ""):gmatch("%S+") do min = min + 1 end
  for word in (arguments or ""):gmatch("%S+") do
    max = word:find("...", 1, true) and math.huge or max + 1
  end
  if #rest < min then
    M.misuse("an argument is missing: %s", arguments)
  elseif #rest > max then
    M.misuse("there is an argument too many: %q", rest[max + 1])
  end
end

--- A number as JSON writes it: 0644 and 0x10 stay text.
local function json_number(text)
  if text:match("^%-?%d+%.?%d*[eE]?[%+%-]?%d*$") and not text:match("^%-?0%d") then
    return math.tointeger(text) or tonumber(text)
  end
end

local function typed(flag, key, text)
  if text == "true" or text == "false" then return text == "true" end
  if not text:match('^[%[{"]') then return json_number(text) or text end
  local value, message = require("orrery.core").json.decode(text)
  if value == nil then M.misuse("%s %s: %s", flag, key, message) end
  return value
end

--- {"a.b=1", ...} to {["a.b"] = 1}: numbers, booleans and JSON are read as such. `flag` is for
-- messages: --set unless told.
function M.settings(list, flag)
  flag = flag or "--set"
  local set = {}
  for _, word in ipairs(list or {}) do
    local key, text = word:match("^([%w_%-@/][^=]*)=(.*)$")
    if not key then
      M.misuse("%s %s: expected KEY=VALUE, such as services.pds.port=3000", flag, word)
    end
    set[key] = typed(flag, key, text)
  end
  return set
end

return M
