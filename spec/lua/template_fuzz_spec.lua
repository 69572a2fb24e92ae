-- Random texts for everything that reads: the language, the expressions, the five formats. Each
-- answers or refuses with a place, in bounded time. The seed is fixed and shown when one fails.
require "support"

local errors = require "orrery.template.errors"
local formats = require "orrery.formats"
local lexer = require "orrery.template.lexer"
local parser = require "orrery.template.parser"
local secret = require "orrery.secret"
local strings = require "support.strings"
local template = require "orrery.template"

local SECONDS = tonumber(os.getenv("FUZZ_SECONDS") or 1) -- for each

local function random(seed)
  local state = seed
  return function(n)
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % n + 1
  end
end

-- Calls fn(text) with texts of `next_text` for SECONDS; how many there were.
local function try(next_text, fn)
  local deadline, count = os.clock() + SECONDS, 0
  repeat
    for _ = 1, 20 do
      local text = next_text()
      local began = os.clock()
      local ok, problem = pcall(fn, text)
      assert(ok, ("seed %d: %q raised %s"):format(strings.SEED, text, tostring(problem)))
      assert(os.clock() - began < 10, ("seed %d: %q takes too long"):format(strings.SEED, text))
    end
    count = count + 20
  until os.clock() > deadline
  assert.is_true(count >= 100)
end

local TOKENS = {"x", "s", "m", "l", "m.a", "l[0]", "l.1", "m[\"a\"]", "nope", "1", "0", "2.5",
  "1e9",
  "1e999", '"t"', '"a${x}b"', '"${l}"', "null", "true", "false", "(", ")", "[", "]", "{", "}", "~",
  "!", "-", "+", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "?", ":", "|", "| upper",
  "| json", "| join(l)", "| map(\"a\")", "| where(\"a\", 1)", "| indent(3)", "upper(x)", ",", ".",
  "=", "\"", "\\", "\n", "#", "//", "/*", "*/", "é", "\0", "\255", "a-b", "later(x, 1)"}
local SEQUENCES = {"${", "}", "~}", "${~", "%{ if ", "%{ if x }", "%{ else }", "%{ endif }",
  "%{~ endif ~}", "%{ for v in l }", "%{ for k, v in m ~}", "%{ endfor }", "%{ for ", "$${", "%%{",
  "text ", "\n", " ", "\"", "${x}", "${\"", "\"}"}

local function template_text(pick)
  return function()
    local parts = {}
    for i = 1, pick(30) do
      local from = pick(3) == 1 and SEQUENCES or TOKENS
      parts[i] = from[pick(#from)] .. (pick(2) == 1 and " " or "")
    end
    return table.concat(parts)
  end
end

-- An expression that is right, mostly: so that what is behind the parser is reached.
local function expression(pick, depth)
  if depth == 0 then return ({"x", "1", "l[0]", "m.a", '"t"', "true", "null", "2.5",
    "s"})[pick(9)] end
  local function inner() return expression(pick, depth - 1) end
  return ({
    function() return inner() .. ({" + ", " == ", " < ", " && ", " % ",
      " || "})[pick(6)] .. inner() end,
    function() return "(" .. inner() .. " ? " .. inner() .. " : " .. inner() .. ")" end,
    function() return "[" .. inner() .. ", " .. inner() .. "]" end,
    function() return "{a = " .. inner() .. "}" end,
    function() return "(" .. inner() .. " | " .. ({"json", "upper", "length", "first",
      "yaml"})[pick(5)] .. ")" end,
    function() return '"<${' .. inner() .. '}>"' end,
    function() return (pick(2) == 1 and "!" or "-") .. inner() end,
    function() return inner() .. "[" .. inner() .. "]" end,
  })[pick(8)]()
end

local SCOPE = {x = "a\n\"b", s = secret.of("hunter2"), m = {a = 1, b = {2}}, l = {1, "two", {3}},
  v = "w"}

local function check_rendering(text)
  local result, err, locate = template.render(text, SCOPE, {maxSteps = 100000})
  if result then
    local line = locate(1 + select(2, result:gsub("\n", "")))
    assert(line >= 1 and line <= 1 + select(2, text:gsub("\n", "")), "a line that is not there")
  else
    assert(errors.is(err) and err.line >= 1 and err.column >= 1, "an error without a place")
    assert(not err.message:find("hunter2", 1, true), "a secret in an error")
  end
end

describe("fuzz", function()
  it("the lexer takes any text, and moves on", function()
    try(template_text(random(strings.SEED)), function(text)
      local lx = lexer.new {text = text, name = "f"}
      local ok, problem = pcall(function()
        while lx.pos <= #text do
          local before = lx.pos
          assert(lexer.token(lx).kind == "end" or lx.pos > before)
        end
      end)
      assert(ok or errors.is(problem), tostring(problem))
    end)
  end)

  it("the parser gives a tree or an error with a place", function()
    try(template_text(random(strings.SEED + 1)), function(text)
      local ok, problem = pcall(parser.parse, {text = text, name = "f"})
      assert(ok or errors.is(problem), tostring(problem))
    end)
  end)

  it("the language renders or refuses any text", function()
    try(template_text(random(strings.SEED + 2)), check_rendering)
  end)

  it("expressions that are right are worked out, or refused with a place", function()
    local pick = random(strings.SEED + 3)
    try(function() return "${" .. expression(pick, pick(4)) .. "}" end, check_rendering)
  end)

  it("bytes at random are text, or refused", function()
    local pick = random(strings.SEED + 4)
    try(function()
      local bytes = {}
      for i = 1, pick(60) do bytes[i] = string.char(pick(256) - 1) end
      return "${" .. table.concat(bytes) .. "}" .. table.concat(bytes)
    end, check_rendering)
  end)
end)

local WRITTEN = {a = 'x"y', b = "1 # 2", c = "n\nl", d = "[t]", e = "é\\", f = "=:-"}

-- Texts of a format: pieces that mean something, and what it wrote, damaged.
local function format_text(format, pick)
  local pieces = strings.generator {controls = true, seed = strings.SEED}
  local map = {}
  for key, text in pairs(WRITTEN) do map[key] = format.write({[key] = text}) and text end
  local written = assert(format.write(map))
  local heads = {"A=", "a: ", "a = ", "[s]\n", "{\"a\": ", "- ", "'", '"""', "[[x]]\n", "&x ", "# "}
  return function()
    if pick(2) == 1 then
      local at = pick(#written)
      return written:sub(1, at - 1) .. pieces() .. written:sub(at + pick(3) - 1)
    end
    local parts = {}
    for i = 1, pick(8) do
      parts[i] = heads[pick(#heads)] .. pieces() .. (pick(2) == 1 and "\n" or "")
    end
    return table.concat(parts)
  end
end

describe("fuzz: the reader of", function()
  for i, name in ipairs {"json", "yaml", "toml", "env", "ini", "env:sh", "env:systemd",
    "env:docker",
    "ini:plain"} do
    it(name .. " reads or refuses any text, and what it reads it can write", function()
      local format = assert(formats.get(name))
      try(format_text(format, random(strings.SEED + 10 + i)), function(text)
        local value, message, line = format.read(text)
        if value == nil then
          assert(type(message) == "string" and math.type(line) == "integer", "no message, no line")
          assert(line >= 1 and line <= 2 + select(2, text:gsub("\n", "")),
            "a line that is not there")
          return
        end
        local again = type(value) == "table" and format.write(value)
        if again then assert.are.same(value, (format.read(again))) end
      end)
    end)
  end
end)
