-- Descriptors that whoever starts the program has closed, or that take nothing.
local support = require "support"

local function sh(command)
  local pipe <close> = assert(io.popen(command .. "; echo $?"))
  local text = pipe:read("a")
  return tonumber(text:match("(%d+)%s*$")), (text:gsub("%d+%s*$", ""))
end

describe("the program", function()
  local program = support.binary()

  it("that is started without standard output says so and fails", function()
    local code, said = sh(program .. " version 2>&1 >&-")
    assert.equal(1, code)
    assert.truthy(said:find("cannot write to the output", 1, true), said)
  end)

  it("fails where nothing can be said, and prints into no socket of its own", function()
    for _, closed in ipairs { ">&- 2>&-", "<&- >&- 2>&-" } do
      assert.equal(1, (sh(("%s version %s"):format(program, closed))), closed)
    end
  end)

  it("prints where only the other two are closed", function()
    local code, said = sh(program .. " version <&- 2>&-")
    assert.equal(0, code)
    assert.truthy(said:find("^orrery %d"), said)
  end)

  it("says that the disk is full", function()
    local code, said = sh(program .. " --help 2>&1 >/dev/full")
    assert.equal(1, code)
    assert.truthy(said:find("No space left", 1, true), said)
  end)
end)
