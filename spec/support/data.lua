--- data -- random plain data for round-trip tests; the same seed gives the same value.
local M = {}

local texts = { "", "plain", "yes", "null", "~", "0640", "1:30", "-", "- a", "a: b", "#x", " lead",
  "trail ", "line\nline", "\n", "tab\t", "\r", "quote'\"", "é\u{1F600}", "\u{7f}\u{85}\u{2028}",
  "{", "[x]", "&a", "*a", "!t", "%d", "@x", "`x", "<<", "=", ".inf", ".5", "1e3", "0x1F", "true",
  "?", "? x", "---", "...", "\\n", ("long "):rep(40), "a\n\n  b\n", "  \n x", ":", "a:", ",", "|",
  ">", "\u{feff}", "\1" }

local function pick(random, list) return list[random(#list)] end

local scalars = {
  function(random) return pick(random, texts) end,
  function(random) return random(0) end,
  function(random) return random(-1000, 1000) end,
  function(random) return (random() - 0.5) * 10 ^ random(-30, 30) end,
  function(random) return random(2) == 1 end,
  function(_, json) return json.null end,
}

local function build(random, json, depth)
  local kind = random(depth > 0 and 4 or 2)
  if kind <= 2 then return pick(random, scalars)(random, json) end
  local value = kind == 3 and json.array() or {}
  for i = 1, random(0, 5) do
    local key = kind == 3 and i or pick(random, texts) .. random(9)
    value[key] = build(random, json, depth - 1)
  end
  return value
end

function M.value(seed, json)
  math.randomseed(seed)
  return { build(math.random, json, 5), build(math.random, json, 5) }
end

return M
