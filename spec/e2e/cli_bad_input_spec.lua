-- What a user can get wrong: each gets one clear sentence and the right exit code, and nothing
-- half-written is left.
local core = require "orrery.core"
local support = require "support"

local root = core.process.user().uid == 0

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

local function has_not(text, part)
  assert.falsy(text:find(part, 1, true), ("%q is in:\n%s"):format(part, text))
end

--- A folder that everybody may enter, with a stack file whose STATE is in it.
local function folder(text, name)
  local dir = support.tmp()
  assert(core.file.chmod(dir, "0755"))
  support.write(dir .. "/" .. (name or "stack.lua"), (text:gsub("STATE", dir .. "/state")))
  return dir
end

local function run(dir, ...)
  local code, out, err = support.orrery { "-f", dir, timeout = 60, ... }
  has_not(out .. err, "traceback")
  return code, out, err
end

--- Brings the stack up in the background, runs body(code, output), and takes it down.
local function with_up(dir, body, ...)
  local code, out, err = run(dir, "up", "-d", ...)
  local ok, problem = xpcall(body, debug.traceback, code, out .. err)
  local down, _, message = run(dir, "down", ...)
  if not ok then error(problem, 0) end
  assert.equal(0, down, message)
end

local function sh(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1"))
  return (pipe:read("a"):gsub("%s+$", ""))
end

--- Runs body(dir) with a small file system mounted on dir, which remount() makes read-only.
local function with_small_disk(body)
  if not root then return pending "needs root to mount a file system" end
  local dir = support.tmp()
  local said = sh(("mount -t tmpfs -o size=128k,mode=755 tmpfs %s"):format(dir))
  if said ~= "" then return pending("cannot mount a file system here: " .. said) end
  local ok, problem = xpcall(body, debug.traceback, dir)
  sh("umount " .. dir)
  if not ok then error(problem, 0) end
end

local WRONG = { lua = [[
return { stateDir = "STATE", profile = "simple-pd", colour = "red", services = {
  a = { exec = "sleep 60", dependencies = { "from-the-profile" } },
  b = { exec = { "sleep", "60" }, port = 4100, dependencies = { "c" } },
  c = { exec = { "sleep", "60" }, port = 4100, dependencies = { "b" } } } }]],
  yaml = [[
stateDir: STATE
profile: simple-pd
colour: red
services:
  a: {exec: sleep 60, dependencies: [from-the-profile]}
  b: {exec: [sleep, "60"], port: 4100, dependencies: [c]}
  c: {exec: [sleep, "60"], port: 4100, dependencies: [b]}
]],
  json = [[
{"stateDir": "STATE", "profile": "simple-pd", "colour": "red", "services": {
  "a": {"exec": "sleep 60", "dependencies": ["from-the-profile"]},
  "b": {"exec": ["sleep", "60"], "port": 4100, "dependencies": ["c"]},
  "c": {"exec": ["sleep", "60"], "port": 4100, "dependencies": ["b"]}}}]] }

describe("a stack with five kinds of mistakes", function()
  for format, text in pairs(WRONG) do
    it("has them all listed at once, in " .. format, function()
      local name = "stack." .. format
      local dir = folder(text, name)
      for _, arguments in ipairs { { "validate" }, { "up" }, { "up", "-d" } } do
        local code, out, err = run(dir, table.unpack(arguments))
        assert.equal(3, code)
        assert.equal("", out)
        has(err, dir .. "/" .. name)
        has(err, "colour: unknown key")
        has(err, "services.a.exec: expected a list, got a string")
        has(err, 'profile: there is no profile "simple-pd"; did you mean "simple-pds"?')
        has(err, "services.c.port: 4100 is already used by services.b.port; give one of them")
        has(err, "Circular dependency detected: c -> b -> c; break it by giving services.b.")
        has_not(err, "from-the-profile")
      end
      assert.same({ name }, core.file.list(dir))
    end)
  end
end)

describe("a stack file that is none", function()
  local function refused(dir, ...)
    local code, _, err = run(dir, "validate")
    assert.equal(3, code, err)
    for _, part in ipairs { ... } do has(err, part) end
    return err
  end

  it("is told apart: empty, too large, a folder, no file at all, too deep", function()
    for _, name in ipairs { "stack.lua", "stack.yaml", "stack.json" } do
      refused(folder("\n", name), name .. ": is empty")
      refused(folder(("x"):rep(5 * 1024 * 1024), name), "is larger than 4194304 bytes")
    end
    refused(folder("return " .. ("{"):rep(100000)), "stack.lua: is nested too deep")
    local dir = support.tmp()
    refused(dir, "holds no stack.lua, stack.yaml", "such as -f simple-pds")
    refused(dir .. "/none.yaml", "there is no such stack file")
    sh("mkfifo " .. dir .. "/pipe.yaml")
    refused(dir .. "/pipe.yaml", "is neither a file nor a folder")
  end)

  it("names its file when nothing in it is a service", function()
    local dir = folder("# nothing\n", "stack.yaml")
    refused(dir, dir .. "/stack.yaml:\n  services: there are none")
  end)

  it("cannot steer the terminal by what is written in it", function()
    local err = refused(folder('return { services = { ["a\\27[31m"] = { exec = { "x" } } } }'),
      "is not a valid name")
    has_not(err, "\27")
  end)

  it("is read as another user only where that user may", function()
    local dir = folder("{}", "stack.yaml")
    assert(core.file.chmod(dir .. "/stack.yaml", 0))
    if not root then return refused(dir, "stack.yaml: Permission denied") end
    local code, _, err = support.orrery { "-f", dir, "up", user = "nobody" }
    assert.equal(3, code, err)
    has(err, "cannot read " .. dir .. "/stack.yaml: Permission denied")
    assert(core.file.chmod(dir, "0700"))
    _, _, err = support.orrery { "-f", dir, "up", user = "nobody" }
    has(err, "cannot look at " .. dir .. "/stack.lua: Permission denied")
  end)

  it("may be large: three thousand services are no runaway script", function()
    local lines = { "services:" }
    for i = 1, 3000 do lines[i + 1] = ('  s%d: {exec: [sleep, "1"]}'):format(i) end
    local code, out, err = run(folder(table.concat(lines, "\n"), "stack.yaml"), "validate")
    assert.equal(0, code, err)
    has(out, "3000 services")
  end)
end)

describe("a template that is wrong", function()
  it("is refused before anything starts, with its line, once", function()
    local dir = folder([[return { stateDir = "STATE", services = { a = {
      exec = { "sleep", "${nap}" },
      config = { ["x.env"] = { template = "A=1\nB=${nothing}\n" } } } } }]])
    for _, command in ipairs { "validate", "up" } do
      local code, _, err = run(dir, command)
      assert.equal(3, code)
      has(err, "services.a.exec[2]: 'nap' is not declared")
      has(err, "services.a.config[\"x.env\"].template:2: 'nothing' is not declared")
    end
    local code, _, err = run(dir, "render")
    assert.equal(3, code)
    has(err, "template:2: 'nothing' is not declared")
    assert.same({ "stack.lua" }, core.file.list(dir))
  end)
end)

describe("a service that cannot be started", function()
  local HOPELESS = [[
return { stateDir = "STATE", services = {
  absent = { exec = { "no-such-program-here" } },
  closed = { exec = { "/etc/passwd" } },
  gone = { exec = { "./nothing" } },
  stranger = { exec = { "sleep", "60" }, user = "no-such-user" },
  lines = { exec = { "sleep", "60" }, envFile = "STATE/../broken.env" },
  file = { exec = { "sleep", "60" }, env = { K = secret { file = "/no/such/secret" } } },
  variable = { exec = { "sleep", "60" }, env = { K = secret { env = "NO_SUCH_VARIABLE" } } },
} }]]

  local LISTENER = [[exec env -u LD_PRELOAD python3 -c 'import socket, sys
s = socket.create_server(("127.0.0.1", %d))
sys.stdin.read()']]

  it("says why, in words of the stack file, and how to mend it", function()
    local dir = folder(HOPELESS)
    support.write(dir .. "/broken.env", "A=1\nnot an assignment\n")
    with_up(dir, function(code, text)
      assert.equal(1, code, text)
      has(text, "cannot start absent@")
      has(text, "command 'no-such-program-here' was not found in PATH")
      has(text, "may not execute '/etc/passwd': check the modes")
      has(text, "there is no file " .. dir .. "/./nothing: install it, or correct the command")
      has(text, "there is no user 'no-such-user' on this machine; create it, or correct "
        .. "services.stranger.user")
      has(text, "broken.env:2: expected NAME=value")
      has(text, "services.file.env.K: its secret cannot be had: cannot read /no/such/secret")
      has(text, "variable NO_SUCH_VARIABLE, which a secret is read from, is not set")
      has_not(text, "state#")
    end)
  end)

  it("is not looked for behind folders of PATH that its user may not enter", function()
    local dir = folder([[return { stateDir = "STATE", services = {
      a = { exec = { "no-such-program-here" } } } }]])
    local path = support.tmp()
    assert(core.file.chmod(path, 0))
    local code, out, err = support.orrery { "-f", dir, "up", "-d",
      env = { PATH = path .. ":" .. os.getenv("PATH") } }
    assert(core.file.chmod(path, "0755"))
    run(dir, "down")
    assert.equal(1, code)
    has(out .. err, "was not found in PATH (" .. path)
  end)

  it("as a user that only root may become says so", function()
    if root then return end
    with_up(folder [[return { stateDir = "STATE", services = {
      a = { exec = { "sleep", "60" }, user = "root" } } }]], function(code, text)
      assert.equal(1, code)
      has(text, "only root may run a service as user 'root'; run orrery as root, or leave out")
    end)
  end)

  it("because its port was taken starts with the next up, once the port is free", function()
    local taken = support.free_port()
    local dir = folder(([[return { stateDir = "STATE", services = { web = { port = %d,
      exec = { "python3", "-m", "http.server", "${port}", "--bind", "${bind}" },
      healthEndpoint = "/", stop = { timeout = 5 } } } }]]):format(taken))
    local other = assert(io.popen(LISTENER:format(taken), "w")) -- ends with its input
    assert(support.wait_until(function() return core.net.connect("127.0.0.1", taken) end))
    local listener = core.net.listener(taken).pid
    with_up(dir, function(code, text)
      assert.equal(1, code, text)
      has(text, ("port %d on 127.0.0.1 is already taken by python3 (pid %d)"):format(taken,
        listener))
      other:close()
      local out, err
      code, out, err = run(dir, "up")
      assert.equal(0, code, out .. err)
      has(out, "passing")
    end)
  end)
end)

describe("a state folder", function()
  local SLEEPER = [[return { stateDir = "STATE", services = { a = { exec = { "sleep", "60" },
    stop = { timeout = 5 }, config = { ["x.env"] = { template = "A=" .. ("x"):rep(9000) } } } } }]]

  it("that is read-only ends up with exit 1, the folder and the way out", function()
    with_small_disk(function(disk)
      sh("mount -o remount,ro " .. disk)
      local dir = folder(SLEEPER)
      for _, arguments in ipairs { { "up" }, { "up", "-d" } } do
        local code, _, err = run(dir, "--set", "stateDir=" .. disk .. "/state",
          table.unpack(arguments))
        assert.equal(1, code)
        has(err, "cannot make the folder " .. disk .. "/state: Read-only file system")
        has(err, "give another with stateDir")
      end
      assert.same({}, core.file.list(disk))
    end)
  end)

  it("that is full fails the service whose file has no room, and leaves no half of it", function()
    with_small_disk(function(disk)
      sh(("head -c 1000000 /dev/zero >%s/filler"):format(disk))
      local dir, set = folder(SLEEPER), "--set=stateDir=" .. disk .. "/state"
      with_up(dir, function(code, text)
        assert.equal(1, code, text)
        has(text, disk .. "/state/config/a/x.env: No space left on device")
        assert.same({}, core.file.list(disk .. "/state/config/a"))
        core.file.remove(disk .. "/filler")
        assert.equal(0, (run(dir, "up", set)))
        assert.same({ "x.env" }, core.file.list(disk .. "/state/config/a"))
      end, set)
    end)
  end)
end)

describe("two up of one stack at the same instant", function()
  local ONE = [[return { stateDir = "STATE", services = {
    a = { exec = { "sleep", "60" }, stop = { timeout = 5 } } } }]]

  it("with -d both end well, with one agent and one process", function()
    local dir = folder(ONE)
    local first = core.task.spawn(run, dir, "up", "-d")
    local second = core.task.spawn(run, dir, "up", "-d")
    local one, other = first:join(60), second:join(60)
    local sleepers = sh(("grep -alsz '^ORRERY_INSTANCE=%s/state#' /proc/[0-9]*/environ")
      :format(dir))
    assert.equal(0, (run(dir, "down")))
    assert.equal(0, one)
    assert.equal(0, other)
    assert.equal(1, select(2, sleepers:gsub("/environ", "")), sleepers)
  end)

  local function start(dir)
    local log = support.tmp() .. "/log"
    return assert(core.process.spawn { argv = { support.binary(), "-f", dir, "up" },
      env = support.env(), cwd = dir, instance = "spec/up", log = { path = log } }), log
  end

  it("in the foreground one runs it, and the other says who does or joins", function()
    local dir = folder(ONE)
    local first, first_log = start(dir)
    local second, second_log = start(dir)
    support.wait_until(function()
      return (support.read(first_log) .. support.read(second_log)):find("already", 1, true)
    end, 20, "the second to say that an agent runs")
    assert.equal(0, (run(dir, "wait", "a", "--for", "running")))
    assert.equal(0, (run(dir, "down")))
    local codes = { first:wait(50).code, second:wait(50).code }
    assert.equal(0, math.min(table.unpack(codes)))
    assert.is_true(math.max(table.unpack(codes)) <= 1)
  end)
end)

describe("the agent of another user", function()
  it("is named, and never said not to run", function()
    if not root then return pending "needs root to be two users" end
    local dir = folder [[return { name = "theirs", stateDir = "STATE", services = {
      a = { exec = { "sleep", "60" }, stop = { timeout = 5 } } } }]]
    with_up(dir, function()
      for _, command in ipairs { "status", "down", "up", "events" } do
        local code, out, err = support.orrery { "-f", dir, command, user = "nobody" }
        assert.equal(4, code, command .. out .. err)
        has(err, "the agent of stack 'theirs' belongs to user 'root'")
        has(err, "run this as that user")
      end
    end)
    local code, _, err = support.orrery { "-f", dir, "up", user = "nobody" }
    assert.equal(1, code)
    has(err, dir .. "/state/lock: Permission denied; run this as the user whose stack it is")
  end)
end)
