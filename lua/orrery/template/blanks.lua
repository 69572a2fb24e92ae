--- blanks -- white space as Unicode has it, for `~`.
local M = {}

local ASCII = "^[ \t\n\v\f\r]"

-- The white space beyond ASCII: U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F,
-- U+205F and U+3000.
local WIDE = {}
for _, code in ipairs {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000} do
  WIDE[utf8.char(code)] = true
end
for code = 0x2000, 0x200A do WIDE[utf8.char(code)] = true end

-- The length of the white space character that begins at `at`, or 0.
local function forward(text, at)
  if text:find(ASCII, at) then return 1 end
  if WIDE[text:sub(at, at + 1)] then return 2 end
  return WIDE[text:sub(at, at + 2)] and 3 or 0
end

-- The length of the one that ends at `at`, or 0.
local function backward(text, at)
  if text:find(ASCII, at) then return 1 end
  if WIDE[text:sub(at - 1, at)] then return 2 end
  return WIDE[text:sub(at - 2, at)] and 3 or 0
end

--- Where the text goes on behind the white space at `from`, which is looked for up to `stop`.
function M.behind(text, from, stop)
  while from <= stop do
    local size = forward(text, from)
    if size == 0 then break end
    from = from + size
  end
  return from
end

--- Where the text ends before the white space at `stop`, which is looked for down to `from`.
function M.before(text, stop, from)
  while stop >= from do
    local size = backward(text, stop)
    if size == 0 then break end
    stop = stop - size
  end
  return stop
end

--- Where the last line of a text begins; a line break at the end is that line's own.
function M.last_line(text)
  local at = #text
  if text:sub(at, at) == "\n" then at = at - 1 end
  while at > 0 and text:byte(at) ~= 10 do at = at - 1 end
  return at + 1
end

return M
