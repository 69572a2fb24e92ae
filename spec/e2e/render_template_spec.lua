-- `orrery render TEMPLATE`: one template, without a stack.
local core = require "orrery.core"
local discovery = require "orrery.discovery"
local support = require "support"

local UPSTREAM = "upstream pds {\n%{ for s in services.pds ~}\n"
  .. "  server ${s.address}:${s.port};\n%{ endfor ~}\n}\n"

describe("a template alone", function()
  local dir, template
  local function orrery(...)
    local arguments = { "render", template, ... }
    arguments.cwd = dir
    return support.orrery(arguments)
  end
  local function write(text) support.write(template, text) end
  local function register(...)
    local d <close> = assert(discovery.open { backend = "file", filePath = dir .. "/discovery" })
    for _, port in ipairs { ... } do
      assert(d:register({ service = "pds", id = ("pds-%d@n"):format(port), node = "n",
        address = "127.0.0.1", port = port, status = "passing" }, 0))
    end
  end

  before_each(function()
    dir = support.tmp()
    template = dir .. "/nginx.conf.tmpl"
    assert(core.file.mkdir(dir .. "/discovery"))
  end)

  it("is rendered with the variables of the command line", function()
    write "${name} ${a.b} ${a.list[1]}\n"
    local code, out, err = orrery("--var", "name=x", "--var", "a.b=2", "--var", 'a.list=["p","q"]')
    assert.equal("", err)
    assert.equal("x 2 q\n", out)
    assert.equal(0, code)
  end)

  it("takes variables from a file and the environment too, and none as a template", function()
    write "${a} ${b} ${c} ${d}\n"
    support.write(dir .. "/vars.yaml", "a: file\nb: file\nc: file\nd: \"${a}\"\n")
    local _, out, err = support.orrery { "render", template, "--var-file", "vars.yaml", "--var",
      "a=line", cwd = dir, env = { ORRERY_VAR_a = "env", ORRERY_VAR_b = "env" } }
    assert.equal("", err)
    assert.equal("line env file ${a}\n", out)
  end)

  it("says which name it lacks, with line and place", function()
    write "one\n${nme}\n"
    local code, _, err = orrery("--var", "name=x")
    assert.equal(3, code)
    assert.truthy(err:find("nginx.conf.tmpl:2", 1, true), err)
    assert.truthy(err:find("'nme' is not declared; did you mean \"name\"?", 1, true), err)
  end)

  it("has no name that was not given, and tells of it once, without words of a stack", function()
    write "${hostname}\n"
    local code, out, err = orrery()
    assert.equal(3, code)
    assert.equal("", out)
    assert.equal(("orrery: %s:1:3: 'hostname' is not declared; give it with --var hostname=VALUE\n"
      .. "  ${hostname}\n    ^\n"):format(template), err)
    assert.equal("h\n", select(2, orrery("--var", "hostname=h")))
  end)

  it("that is not there is told, whatever stack is not there either", function()
    template = dir .. "/no.tmpl"
    local code, _, err = orrery()
    assert.equal(2, code)
    assert.truthy(err:find('no.tmpl" does not exist', 1, true), err)
  end)

  it("is told about in JSON in every mode", function()
    write "a = ${x}\n"
    local target = dir .. "/out.conf"
    local function json(...)
      local code, out = orrery("--out", target, "--json", ...)
      return core.json.decode(out), code
    end
    assert.same({ { path = target, state = "absent" } }, (json("--var", "x=1", "--check")))
    assert.same({ path = target, changed = true }, (json("--var", "x=1")))
    assert.same({ path = target, changed = false }, (json("--var", "x=1")))
    local rows, code = json("--var", "x=2", "--diff")
    assert.equal(1, code)
    assert.equal("differs", rows[1].state)
    assert.truthy(rows[1].diff:find("+a = 2", 1, true), rows[1].diff)
  end)

  it("lists the instances that its backend knows", function()
    write(UPSTREAM)
    register(3000, 3001)
    local code, out = orrery("--backend", "file", "--file-path", dir .. "/discovery")
    assert.equal("upstream pds {\n  server 127.0.0.1:3000;\n  server 127.0.0.1:3001;\n}\n", out)
    assert.equal(0, code)
  end)

  it("that asks for a service without a backend says what to add", function()
    write(UPSTREAM)
    local code, _, err = orrery()
    assert.equal(1, code)
    assert.truthy(err:find("add --backend", 1, true), err)
  end)

  it("takes no error of a backend for `there is none`", function()
    write(UPSTREAM)
    local port = support.free_port()
    local code, out, err = orrery("--backend", "consul", "--consul-address", "127.0.0.1:" .. port)
    assert.equal("", out)
    assert.equal(4, code)
    assert.equal(("orrery: Cannot query discovery backend consul at 127.0.0.1:%d: connection "
      .. "refused; is it running there? Give its address with --consul-address\n"):format(port),
      err)
  end)

  it("is written when it differs, and the reload command is run once", function()
    write "a = ${x}\n"
    local target = dir .. "/out.conf"
    for _ = 1, 2 do
      assert.equal(0, (orrery("--var", "x=1", "--out", target, "--reload", "echo x >> reloads")))
    end
    assert.equal("a = 1\n", support.read(target))
    assert.equal("x\n", support.read(dir .. "/reloads"))
    assert.equal(0, (orrery("--var", "x=2", "--out", target)))
    assert.equal("a = 1\n", support.read(target .. ".bak"))
    assert.equal(0, (orrery("--var", "x=2", "--out", target, "--check")))
    local code, out = orrery("--var", "x=3", "--out", target, "--diff")
    assert.equal(1, code)
    assert.truthy(out:find("-a = 2\n+a = 3", 1, true), out)
  end)

  it("follows a link, and takes nothing from the machine that is no file", function()
    write "a = ${x}\n"
    local target = support.write(dir .. "/real.conf", "old\n")
    os.execute(("cd %s && ln -s real.conf link.conf && mkfifo pipe"):format(dir))
    assert.equal(0, (orrery("--var", "x=1", "--out", dir .. "/link.conf")))
    assert.equal("a = 1\n", support.read(target))
    assert.equal("link", core.file.stat(dir .. "/link.conf", { follow = false }).type)
    for out, words in pairs { [dir .. "/pipe"] = "is no regular file; without --out the text is "
      .. "printed", [template] = "is the template itself" } do
      local code, _, err = orrery("--var", "x=1", "--out", out)
      assert.equal(2, code)
      assert.truthy(err:find(words, 1, true), err)
    end
    assert.equal("a = ${x}\n", support.read(template))
  end)

  it("keeps the old file when the check command refuses the new one", function()
    write "a = ${x}\n"
    local target = support.write(dir .. "/out.conf", "a = 1\n")
    local code, _, err = orrery("--var", "x=2", "--out", target, "--check-command",
      "grep -q 1 ${file}")
    assert.equal(1, code)
    assert.truthy(err:find(("`grep -q 1 %s.new` refuses it (exit code 1), so the old file "
      .. "stays: it said nothing"):format(target), 1, true), err)
    assert.equal("a = 1\n", support.read(target))
    code, _, err = orrery("--var", "x=2", "--out", target, "--check-command", "cat ${HOME}")
    assert.equal(3, code)
    assert.truthy(err:find("--check-command: 'HOME' is not declared", 1, true), err)
  end)

  it("is refused when the text is not of its format", function()
    write '{"a": ${x}}\n'
    local code, _, err = orrery("--var", "x=}", "--out", dir .. "/a.json")
    assert.equal(3, code)
    assert.truthy(err:find("json", 1, true), err)
    assert.is_false(support.exists(dir .. "/a.json"))
  end)

  it("tells all that is wrong with its options at once", function()
    write "x\n"
    local code, _, err = orrery("--wait", "5,1", "--mode", "9", "--reload", "true", "--format",
      "enf")
    assert.equal(2, code)
    for _, part in ipairs { "--wait 5,1", "--mode 9", "--reload needs --out",
      "--format: there is no format 'enf'; did you mean \"env\"?" } do
      assert.truthy(err:find(part, 1, true), err)
    end
    for _, wait in ipairs { "1,2,3", ",", "5,x" } do
      code, _, err = orrery("--wait", wait)
      assert.equal(2, code)
      assert.truthy(err:find("--wait " .. wait .. ": expected ", 1, true), err)
    end
  end)

  it("with --watch is rendered at every change, until it is ended", function()
    write(UPSTREAM)
    register(3000)
    local target = dir .. "/out.conf"
    local watching = assert(core.process.spawn { argv = { support.binary(), "render", template,
      "--backend", "file", "--file-path", dir .. "/discovery", "--watch", "--out", target,
      "--reload", "echo x >> reloads", "--wait", "0", "--max-drop", "1" }, cwd = dir,
      env = support.env(), log = { path = dir .. "/log" } })
    local function reach(text)
      support.wait_until(function()
        return support.exists(target) and support.read(target):find(text, 1, true)
      end, 20, text .. " in " .. target)
    end
    reach "3000"
    register(3001, 3002)
    reach "3002"
    assert(core.file.remove(dir .. "/discovery/pds.json"))
    support.wait_until(function()
      return support.read(dir .. "/log"):find("more than maxDrop = 1 allows; a new start takes it "
        .. "over as it is", 1, true)
    end, 20, "the guard")
    reach "3000"
    register(3005, 3006)
    reach "3006"
    support.wait_until(function() return #support.read(dir .. "/reloads") >= 6 end, 20, "reloads")
    local function hear(text)
      support.wait_until(function() return support.read(dir .. "/log"):find(text, 1, true) end, 30,
        text)
    end
    assert(core.file.rename(dir .. "/discovery", dir .. "/away"))
    support.write(dir .. "/discovery", "no folder")
    hear "what is known of pds may be out of date: Cannot query discovery backend file"
    assert(core.file.remove(dir .. "/discovery"))
    assert(core.file.rename(dir .. "/away", dir .. "/discovery"))
    hear "what is known of pds is up to date again"
    watching:signal("TERM")
    assert(watching:wait(50))
  end)

  it("has a command that failed run again, while it is watched", function()
    write "x\n"
    local command = "echo x >> tries; test -e ok"
    local code, _, err = orrery("--out", "out.conf", "--reload", command)
    assert.equal(1, code)
    assert.truthy(err:find("it is not run again before the file changes", 1, true), err)
    assert(core.file.remove(dir .. "/out.conf"))
    local watching = assert(core.process.spawn { argv = { support.binary(), "render", template,
      "--watch", "--out", "out.conf", "--reload", command }, cwd = dir, env = support.env(),
      log = { path = dir .. "/log" } })
    support.wait_until(function() return #support.read(dir .. "/tries") >= 6 end, 20, "a third try")
    assert.truthy(support.read(dir .. "/log"):find("it is run again until it succeeds", 1, true))
    support.write(dir .. "/ok", "")
    assert.equal(0, assert(watching:wait(60)).code)
    local said = support.read(dir .. "/log")
    assert.truthy(said:find("has succeeded", 1, true), said)
    assert.truthy(said:find("asks discovery for nothing: there is nothing to watch", 1, true), said)
  end)

  it("that asks for nothing and cannot be rendered is not watched", function()
    write "${name}\n"
    local code, _, err = orrery("--watch")
    assert.equal(1, code)
    assert.truthy(err:find("'name' is not declared", 1, true), err)
    assert.truthy(err:find("there is nothing to watch", 1, true), err)
  end)
end)

describe("the files of a stack", function()
  local TEXT = [[return { name = "t", stateDir = "state", services = { a = { exec = { "true" },
    variables = { s = { type = "string", required = true, pattern = "x.*" },
      n = { type = "number", max = 9, default = 1 }, p = { type = "string", secret = true } },
    config = { ["a.env"] = { template =
      "S=${s}\nN=${n}\n%{ if p ~}\nP=${p}\n%{ endif ~}\n" } } } } }]]

  local function orrery(...)
    local dir = support.tmp()
    support.write(dir .. "/stack.lua", TEXT)
    return support.orrery { "-f", dir, "render", ... }
  end

  it("get required variables from the command line, too", function()
    local code, out, err = orrery("--var", "s=xa", "--var", "n=4")
    assert.equal(0, code, err)
    assert.equal("S=xa\nN=4\n", out)
    code, err = select(1, orrery()), select(3, orrery())
    assert.equal(3, code)
    assert.truthy(err:find("Required variable 's' is missing", 1, true), err)
  end)

  it("hide a secret of the command line, and refuse what is declared otherwise", function()
    local _, out = orrery("--var", "s=xa", "--var", "p=hidden")
    assert.equal("S=xa\nN=1\nP=***\n", out)
    local code, _, err = orrery("--var", "s=ya", "--var", "n=10")
    assert.equal(3, code)
    assert.truthy(err:find("does not match the pattern", 1, true), err)
    assert.truthy(err:find("n must be at most 9", 1, true), err)
    code, _, err = orrery("--var", "s=xa", "--var", "m=1")
    assert.equal(2, code)
    assert.truthy(err:find("--var m=1: no service declares such a variable", 1, true), err)
  end)
end)
