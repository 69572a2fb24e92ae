-- The commands that read a stack and touch nothing.
local core = require "orrery.core"
local support = require "support"

local orrery = support.orrery

--- A folder with a stack file whose state, if there were any, would be in its folder `state`.
local function stack_folder(text, name)
  local dir = support.tmp()
  support.write(dir .. "/" .. (name or "stack.lua"), (text:gsub("STATE", dir .. "/state")))
  return dir
end

local GOOD = [[
return { name = "good", stateDir = "STATE", services = {
  web = { exec = { "sleep", "60" }, port = 4001, tags = { "t" },
    settings = { key = secret { generate = "hex:16", name = "key" } },
    variables = { key = { type = "string", secret = true } } },
  app = { exec = { "sleep", "60" },
    dependencies = { "web", { name = "extra", type = "optional" } } },
  extra = { exec = { "sleep", "60" } },
} }]]

local BAD = [[
return { stateDir = "STATE", colour = "red", services = {
  web = { exe = { "x" }, port = "many" },
  app = { exec = { "x" }, dependencies = { { name = "web", type = "requird" }, "nothing" } },
} }]]

local READERS = { "validate", "plan", "graph", "config", "check", "render", "services", "up",
  "down", "status", "logs", "events" }

describe("an invalid stack", function()
  it("is refused by every command, with every problem, and nothing is touched", function()
    local dir = stack_folder(BAD)
    for _, command in ipairs(READERS) do
      local code, out, err = orrery { "-f", dir, command }
      assert.equal(3, code, command .. ": " .. err)
      assert.equal("", out)
      for _, part in ipairs { "colour", "services.web.exe: unknown key", '"exec"',
        "services.web.port", 'did you mean "required"?', '"nothing"' } do
        assert.truthy(err:find(part, 1, true), ("%s: %q is not in %q"):format(command, part, err))
      end
    end
    assert.same({ "stack.lua" }, core.file.list(dir))
  end)

  it("is told as JSON by validate", function()
    local code, out = orrery { "-f", stack_folder(BAD), "validate", "--json" }
    assert.equal(3, code)
    local report = core.json.decode(out)
    assert.is_false(report.valid)
    assert.is_true(#report.problems >= 5)
    for _, problem in ipairs(report.problems) do assert.is_string(problem.message) end
  end)

  it("may be one with a cycle, whose path is named", function()
    local dir = stack_folder([[
stateDir: STATE
services:
  a: {exec: [sleep, "1"], dependencies: [b]}
  b: {exec: [sleep, "1"], dependencies: [a]}
]], "stack.yaml")
    for _, command in ipairs { "validate", "plan", "graph", "up" } do
      local code, _, err = orrery { "-f", dir, command }
      assert.equal(3, code)
      assert.truthy(err:find("Circular dependency detected: ", 1, true), err)
    end
    assert.same({ "stack.yaml" }, core.file.list(dir))
  end)

  it("may be none at all", function()
    local code, _, err = orrery { "-f", "no-such-profile", "plan" }
    assert.equal(3, code)
    assert.truthy(err:find("simple-pds", 1, true), err)
    local empty = support.tmp()
    code, _, err = orrery { "plan", cwd = empty }
    assert.equal(3, code)
    assert.truthy(err:find("stack.lua", 1, true), err)
  end)
end)

describe("a valid stack", function()
  local function good(arguments)
    local dir = stack_folder(GOOD)
    local code, out, err = orrery { "-f", dir, table.unpack(arguments) }
    assert.same({ "stack.lua" }, core.file.list(dir))
    return out, code, err
  end

  it("is found by -f, --file after the command, $ORRERY_STACK and in the current folder", function()
    local dir = stack_folder(GOOD)
    local expected = "stack 'good' is valid: 3 services\n"
    assert.equal(expected, select(2, orrery { "-f", dir, "validate" }))
    assert.equal(expected, select(2, orrery { "validate", "--file", dir }))
    assert.equal(expected, select(2, orrery { "validate", env = { ORRERY_STACK = dir } }))
    assert.equal(expected, select(2, orrery { "validate", cwd = dir }))
  end)

  it("has a plan", function()
    local out = good { "plan" }
    assert.truthy(out:find("wave 1\n  extra\n  web\nwave 2\n  app\n", 1, true), out)
    local plan = core.json.decode((good { "plan", "--json" }))
    assert.same({ { "extra", "web" }, { "app" } }, plan.waves)
    assert.equal("good", plan.stack)
    assert.equal("app", plan.stop[1])
    assert.equal("app", plan.services[3].name)
    assert.equal(2, #plan.services[3].waits)
  end)

  it("has a plan of some services", function()
    local plan = core.json.decode((good { "plan", "web", "--json" }))
    assert.same({ { "web" } }, plan.waves)
    local _, code, err = good { "plan", "wbe" }
    assert.equal(2, code)
    assert.truthy(err:find('did you mean "web"?', 1, true), err)
  end)

  it("has a graph in four forms", function()
    assert.equal("extra\nweb\napp\n  needs extra (optional)\n  needs web\n", (good { "graph" }))
    assert.truthy((good { "graph", "--dot" }):find('"app" -> "extra" [style = dashed', 1, true))
    assert.truthy((good { "graph", "--mermaid" }):find("n1 --> n3", 1, true))
    local graph = core.json.decode((good { "graph", "--json" }))
    assert.same({ "app", "extra", "web" }, graph.nodes)
    assert.same({ from = "app", to = "extra", type = "optional" }, graph.edges[1])
    assert.same({ "extra", "app" }, graph.critical)
    assert.same({}, graph.dropped)
  end)

  it("is shown merged, without its secrets", function()
    local text = good { "config" }
    assert.truthy(text:find("key: '***'", 1, true) or text:find('key: "***"', 1, true), text)
    local config = core.json.decode((good { "config", "--json" }))
    assert.equal("***", config.services.web.settings.key)
    assert.equal(4001, config.services.web.port)
    assert.equal(4001, core.yaml.decode(text).services.web.port)
  end)

  it("tells where each value comes from", function()
    local rows = core.json.decode((good { "config", "--origin", "--json", "--set",
      "services.web.port=4002" }))
    local by_path = {}
    for _, row in ipairs(rows) do by_path[row.path] = row end
    assert.equal("4002", by_path["services.web.port"].value)
    assert.equal("--set", by_path["services.web.port"].origin)
    assert.truthy(by_path["services.web.exec.1"].origin:find("stack.lua", 1, true))
    assert.equal("***", by_path["services.web.settings.key"].value)
  end)

  it("takes --set before and after the command, typed", function()
    local out = good { "--set", "services.web.port=4003", "config", "--json", "--set",
      "services.extra.enable=false", "--set", 'services.web.tags=["a","b"]' }
    local config = core.json.decode(out)
    assert.equal(4003, config.services.web.port)
    assert.same({ "a", "b" }, config.services.web.tags)
    assert.is_nil(config.services.extra)
  end)
end)

describe("graph --edges", function()
  local function sorted(input)
    return orrery { "graph", "--edges", "-", input = input }
  end

  it("orders pairs as tsort reads them", function()
    local code, out = sorted("a b\nb c  d\td a d")
    assert.equal(0, code)
    assert.equal("a\nb\nd\nc\n", out)
  end)

  it("reads a file", function()
    local path = support.write(support.tmp() .. "/pairs", "one two")
    assert.equal("one\ntwo\n", select(2, orrery { "graph", "--edges", path }))
  end)

  it("refuses a cycle and half a pair", function()
    local code, _, err = sorted("a b b c c a")
    assert.equal(3, code)
    assert.truthy(err:find("Circular dependency detected", 1, true))
    code, _, err = sorted("a b c")
    assert.equal(3, code)
    assert.truthy(err:find('"c" has no partner', 1, true))
  end)

  it("escapes what DOT and Mermaid would read as their own", function()
    local input = 'a"<b> c\\d'
    local _, dot = orrery { "graph", "--edges", "-", "--dot", input = input }
    assert.truthy(dot:find([["c\\d" -> "a\"<b>";]], 1, true), dot)
    local _, mermaid = orrery { "graph", "--edges", "-", "--mermaid", input = input }
    assert.truthy(mermaid:find('["a#quot;#lt;b#gt;"]', 1, true), mermaid)
  end)

  it("says which file cannot be read", function()
    local code, _, err = orrery { "graph", "--edges", "/no/such/file" }
    assert.equal(1, code)
    assert.truthy(err:find("/no/such/file", 1, true))
  end)

  it("orders a hundred thousand pairs", function()
    local parts = {}
    for i = 1, 100000 do parts[i] = ("n%06d n%06d"):format(i, i + 1) end
    local code, out = sorted(table.concat(parts, "\n"))
    assert.equal(0, code)
    assert.equal("n000001\nn000002\n", out:sub(1, 16))
  end)
end)

describe("profiles and types", function()
  it("are listed with their files", function()
    local _, out = orrery { "profile", "list", "--json" }
    local names = {}
    for _, item in ipairs(core.json.decode(out)) do names[item.name] = item.path end
    assert.truthy(names["simple-pds"]:find("profiles/simple-pds.lua", 1, true))
    _, out = orrery { "type", "list" }
    assert.truthy(out:find("\nsqlite ", 1, true), out)
  end)

  it("are shown, one beside the stack before a built-in one", function()
    local dir = support.tmp()
    assert(core.file.mkdir(dir .. "/types"))
    support.write(dir .. "/types/sqlite.lua", "return {} -- mine")
    support.write(dir .. "/stack.lua", "return {}")
    local _, out = orrery { "-f", dir, "type", "show", "sqlite" }
    assert.truthy(out:find("-- mine", 1, true), out)
    local code, _, err = orrery { "type", "show", "sqlit" }
    assert.equal(2, code)
    assert.truthy(err:find('did you mean "sqlite"?', 1, true))
  end)
end)
