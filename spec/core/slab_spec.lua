-- core/slab.c, in a program of its own: spec/support/slab_check.c, compiled here and run.
local core = require "orrery.core"
local support = require "support"

local COMPILE = "cc -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -fsanitize=undefined "
  .. "-fno-sanitize-recover=undefined -Iengine -o %s spec/support/slab_check.c engine/core/slab.c "
  .. "engine/core/mem.c"

local function run(command)
  return assert(core.process.run { shell = command, cwd = support.root, timeout = 60,
    env = { PATH = os.getenv("PATH") } })
end

describe("small blocks", function()
  it("keep what is in them, and the pages that they leave go back to the system", function()
    local program = support.tmp() .. "/slab_check"
    local compiled = run(COMPILE:format(program))
    assert.equal("", compiled.stderr .. compiled.stdout)
    local result = run(program)
    local height, left = result.stdout:match("^(%d+) (%d+)\n$")
    assert.truthy(height, result.stdout .. result.stderr)
    assert.is_true(tonumber(left) < tonumber(height) / 4,
      ("of %s KiB %s are left"):format(height, left))
  end)
end)
