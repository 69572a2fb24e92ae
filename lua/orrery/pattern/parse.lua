--- parse -- a pattern's text to a tree.
---
--- A node is {k = char | any | set | start | stop | group | repeat | either}: `group` has a list of
--- nodes, `repeat` a node, min and max (nil: no end), `either` a list of groups.
local M = {}

local MAX_NESTING = 16
local MAX_REPEAT = 255

local function digits(c) return c >= 48 and c <= 57 end
local function blanks(c) return c == 32 or c >= 9 and c <= 13 end
local function letters(c)
  return digits(c) or c == 95 or c >= 65 and c <= 90 or c >= 97 and c <= 122
end

local function inverse(test) return function(c) return not test(c) end end

local CLASSES = {d = digits, D = inverse(digits), s = blanks, S = inverse(blanks), w = letters,
                 W = inverse(letters)}
local CONTROLS = {n = 10, r = 13, t = 9}

local function fail(p, message) error({message = message, at = p.pos}, 0) end

local function peek(p) return p.chars[p.pos] end

local function take(p)
  local char = p.chars[p.pos]
  p.pos = p.pos + 1
  return char
end

local function accept(p, char)
  if peek(p) ~= char then return false end
  p.pos = p.pos + 1
  return true
end

-- What a backslash stands for: a class, or one character.
local function escaped(p)
  local char = take(p) or fail(p, "a '\\' at the end")
  if CLASSES[char] then return {k = "set", test = CLASSES[char]} end
  if CONTROLS[char] then return {k = "char", code = CONTROLS[char]} end
  if char:find("^%w") then
    fail(p, ("'\\%s' is not supported: there are \\d \\w \\s \\D \\W \\S \\n \\r \\t")
      :format(char))
  end
  return {k = "char", code = utf8.codepoint(char)}
end

local function set_item(p)
  local char = take(p) or fail(p, "a '[' without ']'")
  if char == "\\" then return escaped(p) end
  if char == "[" and (peek(p) == ":" or peek(p) == "." or peek(p) == "=") then
    fail(p, "classes such as [:alpha:] are not supported: write a-z, or \\d \\w \\s")
  end
  return {k = "char", code = utf8.codepoint(char)}
end

local function range(p, first)
  if first.k ~= "char" or peek(p) ~= "-" or p.chars[p.pos + 1] == "]" then return first end
  take(p)
  local last = set_item(p)
  if last.k ~= "char" or last.code < first.code then
    fail(p, "a range that ends before it begins")
  end
  return {k = "range", from = first.code, to = last.code}
end

local function member(items, code)
  for _, item in ipairs(items) do
    if item.k == "char" and item.code == code then return true end
    if item.k == "range" and code >= item.from and code <= item.to then return true end
    if item.k == "set" and item.test(code) then return true end
  end
  return false
end

local function set(p)
  local negated, items = accept(p, "^"), {}
  repeat items[#items + 1] = range(p, set_item(p)) until peek(p) == "]" or not peek(p)
  if not accept(p, "]") then fail(p, "a '[' without ']'") end
  return {k = "set", test = function(code) return member(items, code) ~= negated end}
end

local either -- defined below: groups nest

local function group(p)
  if accept(p, "?") and not accept(p, ":") then
    fail(p, "'(?' is only supported as '(?:': there is no look-ahead and no name")
  end
  p.depth = p.depth + 1
  if p.depth > MAX_NESTING then fail(p, "groups nested more than 16 deep") end
  local inner = either(p)
  p.depth = p.depth - 1
  if not accept(p, ")") then fail(p, "a '(' without ')'") end
  return inner
end

local SINGLE = {
  ["."] = function() return {k = "any"} end, ["^"] = function() return {k = "start"} end,
  ["$"] = function() return {k = "stop"} end, ["\\"] = escaped, ["["] = set, ["("] = group,
}

local function atom(p)
  local char = take(p)
  if SINGLE[char] then return SINGLE[char](p) end
  if char:find("^[*+?{]") then fail(p, ("nothing for '%s' to repeat"):format(char)) end
  return {k = "char", code = utf8.codepoint(char)}
end

local function number(p)
  local text = ""
  while peek(p) and peek(p):find("^%d") do text = text .. take(p) end
  local value = tonumber(text)
  if value and value > MAX_REPEAT then fail(p, "a repetition of more than 255 times") end
  return value
end

local function counted(p)
  local min = number(p) or fail(p, "expected a number behind '{' (\\{ is the character)")
  local max = min
  if accept(p, ",") then max = number(p) end
  if not accept(p, "}") then fail(p, "a '{' without '}'") end
  if max and max < min then fail(p, "a repetition that ends before it begins") end
  return min, max
end

local REPEATS = {["*"] = {0}, ["+"] = {1}, ["?"] = {0, 1}}

local function repeated(p)
  local node = atom(p)
  local char = peek(p)
  local times = REPEATS[char]
  if not times and char ~= "{" then return node end
  take(p)
  if not times then times = {counted(p)} end
  local again = peek(p)
  if again == "*" or again == "+" or again == "?" or again == "{" then
    fail(p, "two repetitions behind each other (lazy ones are not supported)")
  end
  return {k = "repeat", node = node, min = times[1], max = times[2]}
end

function either(p)
  local branches = {{k = "group"}}
  while peek(p) and peek(p) ~= ")" do
    local branch = branches[#branches]
    if accept(p, "|") then branches[#branches + 1] = {k = "group"}
    else branch[#branch + 1] = repeated(p) end
  end
  if #branches == 1 then return branches[1] end
  branches.k = "either"
  return branches
end

--- The tree of a pattern, given as a list of characters; raises {message, at}.
function M.parse(chars)
  local p = {chars = chars, pos = 1, depth = 0}
  local tree = either(p)
  if peek(p) then fail(p, "a ')' without '('") end
  return tree
end

return M
