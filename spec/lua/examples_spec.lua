-- The examples of the manual (lua/meta), run as scripts: what they say that they print, they print.
local support = require "support"
local core = require "orrery.core"
local examples = require "support.examples"

for _, file in ipairs(assert(core.file.list(support.root .. "/lua/meta"))) do
  local name = file:match("^(.*)%.lua$")
  describe("the manual of " .. name, function()
    if not name:find("^stack.") then
      it("has an example", function() assert.is_true(#examples.of(name) > 0) end)
    end
    for _, example in ipairs(examples.of(name)) do
      it(("says of %s what is so (line %d)"):format(example.title, example.line), function()
        examples.run(example)
      end)
    end
  end)
end

describe("the examples", function()
  it("fail when they say what is not so", function()
    local function run(code)
      return pcall(examples.run, { file = "x", line = 1, title = "x", code = code })
    end
    assert.is_true(run 'print("a  b") --> a b\n')
    assert.is_true(run 'print("took 3 s") --> took ... s\n')
    assert.is_false(run 'print("a") --> b\n')
    assert.is_false(run 'print("a")\n')
    assert.is_false(run "error 'no'\n")
    assert.is_false(run "-- nothing --> a\n")
  end)
end)
