local core = require "orrery.core"
local ports = require "orrery.ports"
local support = require "support"

local function instance(id, port)
  return { id = id, port = port, service = { bind = "127.0.0.1", ports = {} } }
end

describe("automatic ports", function()
  it("are kept, so that a restart keeps its addresses", function()
    local dir = support.tmp()
    local first = { instance("a@n", "auto"), instance("b@n", "auto"), instance("c@n", 4711) }
    assert(ports.assign(first, dir))
    assert.are_not.equal(first[1].port, first[2].port)
    assert.equal(4711, first[3].port)
    local again = { instance("b@n", "auto"), instance("a@n", "auto") }
    assert(ports.assign(again, dir))
    assert.same({ first[2].port, first[1].port }, { again[1].port, again[2].port })
  end)

  it("are chosen anew where the kept one cannot be used any more", function()
    local dir = support.tmp()
    assert(core.file.write(dir .. "/ports.json",
      '{"a@n": "x", "b@n": 70000, "c@n": 4712}', { mode = 416 }))
    local list = { instance("a@n", "auto"), instance("b@n", "auto"), instance("c@n", "auto"),
      instance("d@n", 4712) }
    assert(ports.assign(list, dir))
    for n = 1, 3 do
      assert.is_true(core.net.can_bind("127.0.0.1", list[n].port))
      assert.are_not.equal(4712, list[n].port)
    end
  end)

  it("say what is wrong with a file of theirs that was damaged", function()
    local dir = support.tmp()
    for _, text in ipairs({ "{", "7" }) do
      support.write(dir .. "/ports.json", text)
      local ok, message = ports.assign({ instance("a@n", "auto") }, dir)
      assert.is_nil(ok)
      assert.matches("ports%.json: .+; remove the file", message)
    end
  end)
end)
