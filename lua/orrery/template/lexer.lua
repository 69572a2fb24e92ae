--- lexer -- reads a template as text (outside of `${}` and `%{}`) or as tokens (inside).
---
--- There is one cursor, `lx.pos`. The parser says which of the two comes next, since only it
--- knows whether a `}` ends an object or the sequence. Every step moves forward: reading is
--- linear in the length of the text.
local errors = require "orrery.template.errors"

local M = {}

local PAIRS = {["&&"] = true, ["||"] = true, ["=="] = true, ["!="] = true, ["<="] = true,
               [">="] = true, ["~}"] = true}
local SINGLES = {}
for char in ("+-*/%<>!?:()[]{},.|=\""):gmatch(".") do SINGLES[char] = true end

local ESCAPES = {n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\"}

function M.new(source) return {source = source, text = source.text, pos = 1} end

local function skip_comment(lx)
  local two = lx.text:sub(lx.pos, lx.pos + 1)
  if two == "/*" then
    local _, stop = lx.text:find("*/", lx.pos + 2, true)
    if not stop then errors.raise(lx.source, lx.pos, "this comment has no end: '*/' is missing") end
    lx.pos = stop + 1
    return true
  end
  if two ~= "//" and two:sub(1, 1) ~= "#" then return false end
  lx.pos = (lx.text:find("\n", lx.pos, true) or #lx.text) + 1
  return true
end

local function skip_blanks(lx)
  repeat
    lx.pos = lx.text:find("[^ \t\r\n]", lx.pos) or #lx.text + 1
  until not skip_comment(lx)
end

local function number(lx, at)
  local _, stop = lx.text:find("^%d+", at)
  local _, fraction = lx.text:find("^%.%d+", stop + 1)
  stop = fraction or stop
  local _, exponent = lx.text:find("^[eE][+-]?%d+", stop + 1)
  stop = exponent or stop
  lx.pos = stop + 1
  return {kind = "number", value = tonumber(lx.text:sub(at, stop)), pos = at}
end

--- The next token inside a sequence: {kind = name | number | op | end, value, pos}.
function M.token(lx)
  skip_blanks(lx)
  local at = lx.pos
  if at > #lx.text then return {kind = "end", value = "the end of the text", pos = at} end
  if lx.text:find("^%d", at) then return number(lx, at) end
  local _, stop = lx.text:find("^[%a_\128-\255][%w_\128-\255-]*", at)
  local kind = "name"
  if not stop then
    kind = "op"
    if PAIRS[lx.text:sub(at, at + 1)] then stop = at + 1
    elseif SINGLES[lx.text:sub(at, at)] then stop = at
    else errors.raise(lx.source, at, "this character has no meaning here") end
  end
  lx.pos = stop + 1
  return {kind = kind, value = lx.text:sub(at, stop), pos = at}
end

-- A backslash in a quoted string; the cursor is on it.
local function escape(lx)
  local letter = lx.text:sub(lx.pos + 1, lx.pos + 1)
  if ESCAPES[letter] then
    lx.pos = lx.pos + 2
    return ESCAPES[letter]
  end
  local digits = letter == "u" and 4 or letter == "U" and 8 or 0
  local hex = lx.text:sub(lx.pos + 2, lx.pos + 1 + digits):match("^%x+$") or ""
  local code = digits > 0 and #hex == digits and tonumber(hex, 16)
  if not code or code > 0x10FFFF or (code >= 0xD800 and code < 0xE000) then
    errors.raise(lx.source, lx.pos, [[not an escape: use \n \r \t \" \\ \uNNNN or \UNNNNNNNN]])
  end
  lx.pos = lx.pos + 2 + digits
  return utf8.char(code)
end

-- What an escaped opening (`$${`, `%%{`) at the cursor stands for, or nil.
local function escaped_opening(lx)
  local three = lx.text:sub(lx.pos, lx.pos + 2)
  if three ~= "$${" and three ~= "%%{" then return nil end
  lx.pos = lx.pos + 3
  return three:sub(2)
end

local function at_opening(lx)
  local two = lx.text:sub(lx.pos, lx.pos + 1)
  return two == "${" or two == "%{"
end

--- The text up to the next sequence, the end, or (in a quoted string) the closing quote.
function M.literal(lx, quoted)
  local parts, stops = {}, quoted and '[$%%"\\\n]' or "[$%%]"
  while true do
    local stop = lx.text:find(stops, lx.pos) or #lx.text + 1
    if stop > lx.pos then parts[#parts + 1] = lx.text:sub(lx.pos, stop - 1) end
    lx.pos = stop
    local char = lx.text:sub(stop, stop)
    if char == "" or char == '"' or at_opening(lx) then return table.concat(parts) end
    if char == "\n" then
      errors.raise(lx.source, stop, "a quoted string must end on its line; write \\n instead")
    end
    local piece = char == "\\" and escape(lx) or escaped_opening(lx)
    if not piece then
      piece, lx.pos = char, stop + 1
    end
    parts[#parts + 1] = piece
  end
end

--- Takes the opening of a sequence at the cursor: "${" or "%{", and whether `~` follows; or nil.
function M.opening(lx)
  if not at_opening(lx) then return nil end
  local opening = lx.text:sub(lx.pos, lx.pos + 1)
  lx.pos = lx.pos + 2
  local trims = lx.text:sub(lx.pos, lx.pos) == "~"
  if trims then lx.pos = lx.pos + 1 end
  return opening, trims
end

return M
