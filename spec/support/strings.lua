--- strings -- random strings made of what some reader takes for something else.
local M = {}

M.SEED = 20261123

local PIECES = {
  "a", "b", "key", " ", "  ", "\t", "\n", "\r", "\r\n", '"', "'", '""', "''", '"""', "'''", "\\",
  "\\\\", "\\n", "\\\n", "$", "$(id)", "${x}", "$${x}", "%{", "%%{ if }", "~", "`", "`id`", "#",
  " #", "# ", ";", " ; ", "=", ":", ": ", ":\n", "-", "- ", "---", "...", "?", "? ", "&a", "*a",
  "!t", "!!str", "|", "|\n", ">", "@", "%", ",", "[", "]", "{", "}", "<<", "*", "null", "~", "yes",
  "no", "on", "off", "true", "false", "y", "n", "0", "00", "007", "0640", "1", "12", "1_000",
  "0x1F", "0o17", "1e3", "1.", ".5", "-1", "+1", ".inf", ".nan", "1:30", "12345678901234567890123",
  "2024-01-01", "2024-01-01T00:00:00Z", "12:30:45", "é", "ß", "日本語", "\u{1F600}", "\u{85}",
  "\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{fffd}", "\u{200b}", "\u{3000}", "e\u{301}",
  "export ", "A=1", "\nEVIL=1", "\nEVIL: 1", "\n[EVIL]\n", "\nEVIL = 1\n", "--", "/*", "*/", "//",
}

local CONTROLS = {"\0", "\1", "\7", "\b", "\v", "\f", "\27[2J", "\31", "\127"}

--- A function that gives the next string each time. `options.controls`: control characters too;
--- `options.without`: a pattern of what must not be in it.
function M.generator(options)
  options = options or {}
  local state = options.seed or M.SEED
  local function pick(n)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n + 1
  end
  local function one()
    local parts = {}
    for i = 1, pick(6) - 1 do
      local from = options.controls and pick(8) == 1 and CONTROLS or PIECES
      parts[i] = from[pick(#from)]
    end
    return table.concat(parts)
  end
  return function()
    while true do
      local text = one()
      if not options.without or not text:find(options.without) then return text end
    end
  end, pick
end

--- A map of `count` such strings.
function M.map(count, options)
  local next_text, map = M.generator(options), {}
  for i = 1, count do map["K" .. i] = next_text() end
  return map
end

return M
