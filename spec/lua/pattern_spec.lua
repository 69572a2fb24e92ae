require "support"

local pattern = require "orrery.pattern"

local function matcher(text)
  local matches, message = pattern.compile(text)
  return assert(matches, message)
end

describe("pattern", function()
  it("matches the whole value", function()
    for text, cases in pairs {
      ["abc"] = {abc = true, ab = false, abcd = false, xabc = false, [""] = false},
      ["a|bc|"] = {a = true, bc = true, [""] = true, b = false, abc = false},
      ["(a|b)*c"] = {c = true, ababc = true, abab = false},
      ["(?:ab)+"] = {ab = true, abab = true, aba = false},
      ["a?b{2}c{1,3}d{2,}"] = {abbcdd = true, bbcccddd = true, bbccccdd = false, abcdd = false},
      ["^[a-z][a-z0-9-]{0,5}$"] = {["a-1"] = true, ["1a"] = false, abcdefg = false},
      ["[^a-c]+"] = {xyz = true, xbz = false}, ["[]a]+"] = {["]a"] = true, b = false},
      ["[a\\]-]+"] = {["a]-"] = true}, ["\\d+\\.\\d+"] = {["1.5"] = true, ["1x5"] = false},
      ["\\w+\\s\\S\\D\\W"] = {["a_1 xy."] = true, ["a 1"] = false},
      ["."] = {a = true, ["é"] = true, ["日"] = true, ["\n"] = false, ab = false},
      ["é+"] = {["éé"] = true, e = false}, ["[α-ω]+"] = {["αβγ"] = true, a = false},
      ["a\\n\\tb"] = {["a\n\tb"] = true}, ["(a*)*b"] = {b = true, aab = true, a = false},
      ["did:(plc:[a-z2-7]{24}|web:[a-z0-9.-]+)"] = {["did:plc:z72i7hdynmk6r22z27h6tvur"] = true,
        ["did:web:example.com"] = true, ["did:plc:x"] = false, ["did:web:"] = false},
      ["https?://[^/ ]+(/.*)?"] = {["http://a"] = true, ["https://a.b/c d"] = true,
        ["ftp://a"] = false},
      [""] = {[""] = true, a = false}, ["$"] = {[""] = true}, ["a$b"] = {ab = false},
    } do
      local matches = matcher(text)
      for value, expected in pairs(cases) do
        assert.are.equal(expected, matches(value), text .. " on " .. value)
      end
    end
  end)

  it("refuses what it does not have, and says so", function()
    for text, message in pairs {["(a"] = "without '%)'", ["a)"] = "without '%('",
      ["[a"] = "without '%]'",
      ["*a"] = "nothing for", ["a**"] = "two repetitions", ["a+?"] = "lazy",
        ["(?=a)"] = "look%-ahead",
      ["\\1"] = "not supported", ["\\b"] = "not supported", ["a\\"] = "at the end",
      ["a{x}"] = "expected a number", ["a{3,1}"] = "ends before", ["a{999}"] = "255",
      ["[b-a]"] = "ends before", ["[[:alpha:]]"] = "not supported", ["\255"] = "UTF%-8",
      [("("):rep(50) .. (")"):rep(50)] = "16 deep", ["((a{200}){200})"] = "too many repetitions",
      [("a"):rep(1001)] = "more than 1000"} do
      local matches, why = pattern.compile(text)
      assert.is_nil(matches, text)
      assert.matches(message, why)
    end
  end)

  it("takes no longer for patterns that make others run away", function()
    local began = os.clock()
    for _, text in ipairs {"(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*)*x", "a?{0}", "(a?){100}a{100}",
      "((a+)+)+b", "(x+x+)+y", "(.*.*.*.*.*)=.*"} do
      local matches = pattern.compile(text)
      if matches then assert.is_false(matches(("a"):rep(4000))) end
    end
    assert.is_true(os.clock() - began < 60)
    assert.matches("4096", select(2, matcher("a*")(("a"):rep(5000))))
  end)

  it("answers or refuses any text at all", function()
    local state = 99
    local function pick(n)
      state = state * 6364136223846793005 + 1442695040888963407
      return (state >> 33) % n + 1
    end
    local pieces = {"a", "b", "(", ")", "[", "]", "|", "*", "+", "?", "{", "}", "{2,3}", "^", "$",
      "\\", "\\d", "-", ".", "é", "(?:", "1", ","}
    for _ = 1, 20000 do
      local parts = {}
      for i = 1, pick(12) do parts[i] = pieces[pick(#pieces)] end
      local text = table.concat(parts)
      local matches, why = pattern.compile(text)
      if matches then assert.is_boolean(matches("aab1é")) else assert.is_string(why) end
    end
  end)
end)
