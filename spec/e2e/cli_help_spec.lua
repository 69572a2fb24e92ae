-- The command list, the pages of --help, and how misuse is answered.
local core = require "orrery.core"
local support = require "support"

local orrery = support.orrery

local function commands()
  local names = {}
  for _, file in ipairs(assert(core.file.list(support.root .. "/lua/orrery/cli/commands"))) do
    names[#names + 1] = file:match("^(.*)%.lua$")
  end
  return names
end

describe("the command list", function()
  it("has every command of the folder, each under a heading", function()
    local code, out, err = orrery { "--help" }
    assert.equal(0, code)
    assert.equal("", err)
    for _, name in ipairs(commands()) do
      assert.truthy(out:find("\n  " .. name .. "  ", 1, true), name .. " is not listed")
    end
  end)

  it("is also what `orrery` alone and `orrery help` print", function()
    local _, expected = orrery { "--help" }
    local _, alone = orrery {}
    local _, help = orrery { "help" }
    assert.equal(expected, alone)
    assert.equal(expected, help)
  end)
end)

describe("the page of each command", function()
  for _, name in ipairs(commands()) do
    it("is complete: " .. name, function()
      local code, out, err = orrery { name, "--help" }
      assert.equal(0, code, err)
      assert.truthy(out:find("^usage: orrery %[%-f STACK%] " .. name))
      for _, option in ipairs(require("orrery.cli.catalogue").get(name).options or {}) do
        if not option.hidden then
          assert.truthy(out:find("--" .. option.name, 1, true), option.name .. " is missing")
        end
      end
      assert.truthy(out:find("Exit codes\n  0 ", 1, true))
      assert.truthy(out:find("Example\n  orrery ", 1, true))
    end)
  end

  it("is also what `orrery help COMMAND` prints", function()
    local _, expected = orrery { "up", "--help" }
    local code, same = orrery { "help", "up" }
    assert.same({ 0, expected }, { code, same })
  end)
end)

describe("misuse", function()
  local function refused(arguments, ...)
    local code, out, err = orrery(arguments)
    assert.equal(2, code, err)
    assert.equal("", out)
    assert.equal(1, select(2, err:gsub("\n", "\n")), "not one line: " .. err)
    for _, part in ipairs { ... } do
      assert.truthy(err:find(part, 1, true), ("%q is not in %q"):format(part, err))
    end
  end

  it("of a command that does not exist suggests one", function()
    refused({ "staus" }, 'no command "staus"', 'did you mean "status"?')
    refused({ "../init" }, 'no command "../init"')
    refused({ "help", "staus" }, 'did you mean "status"?')
  end)

  it("of an option that does not exist names it", function()
    refused({ "graph", "--mermiad" }, "orrery graph:", "--mermiad", 'did you mean "--mermaid"?')
    refused({ "--fiel", "x", "plan" }, "--fiel", 'did you mean "--file"?')
    refused({ "plan", "-z" }, "-z")
  end)

  it("of an option's value names the option and what it takes", function()
    refused({ "wait", "a", "--timeout", "soon" }, "--timeout", "seconds", '"soon"')
    refused({ "wait", "a", "--timeout" }, "--timeout", "SECONDS")
    refused({ "wait", "a", "--timeout", "-1" }, "--timeout", '"-1"')
    refused({ "wait", "a", "--timeout=nan" }, "--timeout", '"nan"')
    refused({ "logs", "-n", "1.5" }, "-n", '"1.5"')
    refused({ "wait", "a", "--for", "runing" }, "--for", 'did you mean "running"?')
    refused({ "plan", "--json=yes" }, "--json", "takes no value")
    refused({ "--set", "port", "plan" }, "--set port", "KEY=VALUE")
    refused({ "--set", "a.b=[1,", "plan" }, "--set a.b")
  end)

  it("of arguments says which", function()
    refused({ "wait" }, "SERVICE")
    refused({ "version", "now" }, '"now"')
    refused({ "profile", "show" }, "profile show NAME")
    refused({ "profile", "shwo" }, "profile list")
  end)

  it("of -f after the command says where it goes", function()
    refused({ "plan", "-f", "x" }, "-f STACK goes before the command", "--file STACK")
  end)
end)

describe("output", function()
  it("has the version, in text and as JSON", function()
    local code, out = orrery { "version" }
    assert.equal(0, code)
    assert.equal("orrery " .. core.version .. "\n", out)
    local _, dashed = orrery { "--version" }
    assert.equal(out, dashed)
    local _, json = orrery { "version", "--json" }
    assert.equal(core.version, core.json.decode(json).version)
  end)

  it("has no colour where it is no terminal", function()
    local _, out = orrery { "--help" }
    assert.falsy(out:find("\27", 1, true))
  end)

  it("that cannot be written fails", function()
    local code, _, err = support.run { "sh", "-c", '"$0" version >/dev/full', support.binary() }
    assert.equal(1, code)
    assert.truthy(err:find("No space left", 1, true))
  end)

  it("that nobody reads ends quietly", function()
    local script = '{ "$0" version; echo "$?" >&2; } | :'
    local _, _, err = support.run { "sh", "-c", "sleep 0.2; " .. script, support.binary() }
    assert.truthy(err == "141\n" or err == "0\n", err)
  end)
end)

describe("a table on a terminal", function()
  it("fits into its width, line by line", function()
    local command = ("stty cols 24; exec %s -f simple-pds config --origin"):format(support.binary())
    local code, out = support.run({ "script", "-qec", command, "/dev/null" },
      { env = { TERM = "xterm" } })
    assert.equal(0, code, out)
    assert.truthy(out:find("\27[1m", 1, true), out)
    for line in out:gsub("\27%[[%d;]*m", ""):gmatch("[^\r\n]+") do
      assert.is_true(utf8.len(line) <= 24, line)
    end
  end)
end)
