local support = require "support"
local core = require "orrery.core"
local lfs = require "lfs"
local process, time = core.process, core.time

local is_root = process.user().uid == 0

-- A lua5.4 that loads the module and runs `script`, as a host program would.
local function host_script(script)
  local text = 'local core = require "orrery.core"\n' .. script
  return support.write(support.tmp() .. "/host.lua", text)
end

local function host_env()
  local env = { LUA_PATH = package.path, LUA_CPATH = package.cpath }
  for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS" } do
    env[name] = process.env(name)
  end
  return env
end

-- Runs such a host where our own guard cannot reach it; returns its pid.
local function detach_host(script)
  local argv = { "env" }
  for name, value in pairs(host_env()) do argv[#argv + 1] = name .. "=" .. value end
  argv[#argv + 1] = "lua5.4"
  argv[#argv + 1] = host_script(script)
  return assert(process.detach { argv = argv })
end

local function await_file(path)
  return support.wait_until(function()
    return support.exists(path) and support.read(path):match("^(.+)\n")
  end, 10, path)
end

local function await_pid(path) return math.tointeger(tonumber(await_file(path))) end

local function sleeping(seconds)
  return { argv = { "sleep", tostring(seconds) } }
end

describe("process.run", function()
  it("gives the exit code and both streams", function()
    local result = process.run { shell = "echo out; echo err >&2; exit 3" }
    assert.same({ code = 3, stdout = "out\n", stderr = "err\n", timedOut = false }, result)
  end)

  it("gives the signal that ended it", function()
    local result = process.run { shell = "kill -TERM $$" }
    assert.equal("TERM", result.signal)
    assert.is_nil(result.code)
  end)

  it("passes input, and does not mind a program that ignores it", function()
    assert.equal("hello", process.run { argv = { "cat" }, input = "hello" }.stdout)
    assert.equal(0, process.run { argv = { "true" }, input = ("x"):rep(1 << 20) }.code)
  end)

  it("gives a program without input an empty one", function()
    assert.equal("", process.run { argv = { "cat" } }.stdout)
  end)

  it("keeps the last bytes of the output", function()
    local result = process.run { shell = "seq 1 100000; seq 1 50000 >&2", maxOutput = 100 }
    assert.equal(100, #result.stdout)
    assert.truthy(result.stdout:find("99999\n100000\n$"))
    assert.truthy(result.stderr:find("\n50000\n$"))
  end)

  it("passes on nothing of our environment but where commands are", function()
    local env = process.run { argv = { "env" }, env = { MINE = "yes" } }.stdout
    local names = {}
    for name in env:gmatch("([%w_]+)=[^\n]*\n") do names[name] = true end
    names.TZ = nil
    assert.same({ MINE = true, PATH = true, HOME = true, USER = true, LOGNAME = true, LANG = true,
      ORRERY_CHILD = true }, names)
  end)

  it("looks for the command in the PATH that the program gets", function()
    local dir = support.tmp()
    support.write(dir .. "/hello-orrery", "#!/bin/sh\necho here\n")
    assert.equal(0, process.run { argv = { "chmod", "+x", dir .. "/hello-orrery" } }.code)
    local result = assert(process.run { argv = { "hello-orrery" }, env = { PATH = dir } })
    assert.equal("here\n", result.stdout)
  end)

  it("names the command, where it was looked for and what to do", function()
    local result, message, code =
      process.run { argv = { "no-such-command" }, env = { PATH = "/nowhere:/elsewhere" } }
    assert.is_nil(result)
    assert.equal("cannot start no-such-command: command 'no-such-command' was not found in PATH "
      .. "(/nowhere:/elsewhere): install it, or give its full path", message)
    assert.equal("not_found", code)
  end)

  it("tells a missing interpreter, a file that is no program, and one without the x bit", function()
    local dir = support.tmp()
    local script = support.write(dir .. "/script", "#!/no/such/interpreter\n")
    local _, plain = process.run { argv = { script } }
    assert.truthy(plain:find("may not execute", 1, true))
    process.run { argv = { "chmod", "+x", script } }
    local _, message = process.run { argv = { script } }
    assert.truthy(message:find("interpreter", 1, true))
    support.write(script, "neither fish nor fowl\n")
    local _, format, code = process.run { argv = { script } }
    assert.truthy(format:find("is no program for this machine", 1, true))
    assert.equal("invalid", code)
  end)

  it("names a working folder that is missing", function()
    local _, message, code = process.run { argv = { "true" }, cwd = "/no/such/folder" }
    assert.truthy(message:find("/no/such/folder", 1, true))
    assert.equal("not_found", code)
  end)

  it("runs in the folder it is given", function()
    local dir = support.tmp()
    assert.equal(dir .. "\n", process.run { argv = { "pwd" }, cwd = dir }.stdout)
  end)

  it("names a user that does not exist", function()
    local _, message, code = process.run { argv = { "true" }, user = "no-such-user" }
    assert.truthy(message:find("there is no user 'no-such-user'", 1, true))
    assert.equal("not_found", code)
  end)

  it("passes numbers in argv as text, however many", function()
    local argv, texts = { "echo" }, {}
    for n = 1, 20000 do -- enough for a collection amid reading them
      argv[n + 1], texts[n] = 1000000 + n, tostring(1000000 + n)
    end
    local result = core.process.run { argv = argv, maxOutput = 1 << 20 }
    assert.equal(table.concat(texts, " ") .. "\n", result.stdout)
  end)

  it("asks no metamethod for the length of argv", function()
    local argv = setmetatable({ "echo", "two" }, { __len = function() return -1 end })
    assert.equal("two\n", core.process.run({ argv = argv }).stdout)
  end)

  it("refuses arguments that the kernel would refuse", function()
    local _, message, code = process.run { argv = { "echo", ("x"):rep(2 << 20) } }
    assert.truthy(message:find("use a file instead", 1, true))
    assert.equal("invalid", code)
  end)

  it("kills at the deadline what ignores TERM, and its children, and says so at once", function()
    local dir = support.tmp()
    local began = time.monotonic()
    local result = process.run {
      shell = "trap '' TERM; "
        .. "sh -c 'trap \"\" TERM; echo $$ >" .. dir .. "/pid; sleep 60; sleep 60' & "
        .. "setsid sh -c 'echo $$ >" .. dir .. "/far; sleep 60' & echo begun; wait",
      timeout = 3, -- by which it has begun
    }
    assert.is_true(result.timedOut)
    assert.equal("begun\n", result.stdout)
    assert.is_true(time.monotonic() - began < 30)
    support.wait_gone(await_pid(dir .. "/pid"))
    support.wait_gone(await_pid(dir .. "/far"))
  end)

  it("ends what a command leaves in the background", function()
    local dir = support.tmp()
    local result = process.run { shell = "setsid sleep 60 & echo $! >" .. dir .. "/pid; echo done" }
    assert.equal("done\n", result.stdout)
    assert.is_false(support.procfs.alive(await_pid(dir .. "/pid")))
  end)

  it("kills the command when its task is cancelled", function()
    local dir = support.tmp()
    local task = core.task.spawn(process.run, { shell = "echo $$ >" .. dir .. "/pid; sleep 60" })
    local pid = await_pid(dir .. "/pid")
    task:cancel()
    support.wait_gone(pid)
  end)

  it("runs many at once", function()
    local tasks = {}
    for i = 1, 200 do
      tasks[i] = core.task.spawn(process.run, { argv = { "echo", tostring(i) } })
    end
    for i, task in ipairs(tasks) do assert.equal(i .. "\n", task:join(30).stdout) end
  end)
end)

describe("process.spawn", function()
  it("gives a handle that waits for the exit code", function()
    local proc = assert(process.spawn { shell = "exit 7" })
    assert.is_true(proc.pid > 0)
    assert.same({ code = 7 }, proc:wait())
    assert.same({ code = 7 }, proc:wait())
  end)

  it("times out waiting, and goes on", function()
    local proc = assert(process.spawn(sleeping(60)))
    local _, message, code = proc:wait(0.05)
    assert.equal("timed out", message)
    assert.equal("timeout", code)
    proc:signal("TERM")
    assert.same({ signal = "TERM" }, proc:wait(50))
  end)

  it("says who cannot be started", function()
    local proc, message = process.spawn { argv = { "no-such-command" }, instance = "x/pds@edge" }
    assert.is_nil(proc)
    assert.truthy(message:find("cannot start x/pds@edge", 1, true))
  end)

  it("signals the whole group", function()
    local dir = support.tmp()
    local proc = assert(process.spawn {
      shell = "sleep 60 & echo $! >" .. dir .. "/pid; wait; sleep 60",
    })
    local grandchild = await_pid(dir .. "/pid")
    proc:signal("TERM")
    assert.same({ signal = "TERM" }, proc:wait(50))
    assert.is_false(support.procfs.alive(grandchild))
  end)

  it("kills what left the group, too", function()
    local dir = support.tmp()
    local proc = assert(process.spawn {
      shell = "setsid setsid sh -c 'trap \"\" TERM HUP; "
        .. "echo $$ >" .. dir .. "/pid; sleep 60; sleep 60' & "
        .. "sleep 60",
    })
    local far = await_pid(dir .. "/pid")
    proc:kill()
    assert.same({ signal = "KILL" }, proc:wait(50))
    assert.is_false(support.procfs.alive(far))
  end)

  it("ends the workers of a main process that was killed, before it tells", function()
    local dir = support.tmp()
    local proc = assert(process.spawn {
      shell = "setsid env -i sh -c 'echo $$ >" .. dir .. "/pid; sleep 60; sleep 60' & "
        .. "sleep 60; true",
      instance = "spec/db@a",
    })
    local worker = await_pid(dir .. "/pid")
    process.run { argv = { "kill", "-9", tostring(proc.pid) } }
    assert.same({ signal = "KILL" }, proc:wait(50))
    assert.is_false(support.procfs.alive(worker))
  end)

  it("sets umask, limits, session group and default signals", function()
    local proc = assert(process.spawn {
      shell = "umask; ulimit -n; ulimit -c; cut -d' ' -f5 /proc/$$/stat; "
        .. "grep -E '^Sig(Blk|Ign)' /proc/self/status",
      umask = tonumber("27", 8), limits = { nofile = 77, core = 0 }, instance = "s/a@n",
    })
    local pid = proc.pid
    assert.same({ code = 0 }, proc:wait(50))
    local lines = {}
    for i, line in ipairs(proc:tail(10)) do lines[i] = line:match("^%S+ out%s+(.*)$") end
    -- 32 and 33 are libc's own; one whom posix_spawn started has them ignored, and none can tell.
    local ignored = tonumber(table.remove(lines):match("^SigIgn:%s*(%x+)$"), 16) & ~(3 << 31)
    assert.equal(0, ignored)
    assert.same({ "0027", "77", "0", tostring(pid), "SigBlk:\t0000000000000000" }, lines)
  end)

  it("marks the process with its instance", function()
    local proc = assert(process.spawn { shell = "echo $ORRERY_INSTANCE", instance = "s/a@n" })
    proc:wait(50)
    assert.truthy(proc:tail(1)[1]:find(" out s/a@n$"))
  end)

  if is_root then
    it("becomes another user, with that user's groups and home, in no folder of ours", function()
      local result = process.run { shell = "id -un; id -G; echo $HOME $USER; pwd", user = "nobody" }
      assert.equal("nobody\n65534\n/nonexistent nobody\n/\n", result.stdout)
    end)

    it("reports a command that the other user may not execute", function()
      local dir = support.tmp()
      support.write(dir .. "/tool", "#!/bin/sh\n")
      process.run { shell = "chmod 755 " .. dir .. "; chmod 700 " .. dir .. "/tool" }
      local _, message, code = process.run { argv = { dir .. "/tool" }, user = "nobody", cwd = "/" }
      assert.truthy(message:find("user 'nobody' may not execute", 1, true))
      assert.equal("denied", code)
    end)
  end

  it("refuses a signal, a limit and an option of the wrong kind", function()
    assert.error_matches(function() process.spawn { argv = { "true" }, deathSignal = "NOPE" } end,
      "there is no signal 'NOPE'")
    assert.error_matches(function() process.spawn { argv = { "true" }, limits = { files = 1 } } end,
      "unknown limit 'files'")
    assert.error_matches(function() process.spawn {} end, "needs one of argv and shell")
  end)

  it("starts 200 quickly", function()
    local began = time.monotonic()
    local procs = {}
    for i = 1, 200 do procs[i] = assert(process.spawn { argv = { "true" } }) end
    for _, proc in ipairs(procs) do assert.same({ code = 0 }, proc:wait(30)) end
    assert.is_true(time.monotonic() - began < 40)
  end)
end)

describe("a service's log", function()
  it("has a line for each line, with time and stream, and keeps a last line without end", function()
    local path = support.tmp() .. "/a.log"
    local proc = assert(process.spawn {
      shell = "echo one; echo two >&2; printf three", log = { path = path },
    })
    proc:wait(50)
    local found = {}
    for line in support.read(path):gmatch("([^\n]*)\n") do
      local date, stream, text = line:match("^(%S+) (%S+) (.*)$")
      assert.truthy(date:match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"), line)
      found[text] = stream
    end
    assert.same({ one = "out", two = "err", three = "out" }, found)
    assert.equal(3, #proc:tail(10))
  end)

  it("loses nothing of a flood at exit", function()
    local path = support.tmp() .. "/a.log"
    local proc = assert(process.spawn {
      shell = "seq 1 200000", log = { path = path, maxBytes = 1 << 30 },
    })
    assert.same({ code = 0 }, proc:wait(60))
    local count, last = 0, nil
    for text in support.read(path):gmatch(" out (%d+)\n") do count, last = count + 1, text end
    assert.equal(200000, count)
    assert.equal("200000", last)
  end)

  it("splits lines that are too long", function()
    local path = support.tmp() .. "/a.log"
    local proc = assert(process.spawn {
      shell = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end", log = { path = path },
    })
    proc:wait(50)
    local sizes = {}
    for text in support.read(path):gmatch(" out ([^\n]*)\n") do sizes[#sizes + 1] = #text end
    assert.same({ 65536, 100000 - 65536, 3 }, sizes)
  end)

  it("rotates by size between lines, keeps so many, and is not readable by others", function()
    local path = support.tmp() .. "/a.log"
    local proc = assert(process.spawn {
      shell = "seq 1 1000", log = { path = path, maxBytes = 5000, keep = 3 },
    })
    proc:wait(50)
    assert.is_true(support.exists(path .. ".3"))
    assert.is_false(support.exists(path .. ".4"))
    local numbers = {}
    for _, file in ipairs { path .. ".3", path .. ".2", path .. ".1", path } do
      local text = support.read(file)
      assert.is_true(#text <= 5000)
      for number in text:gmatch("[^\n]* out (%d+)\n") do
        numbers[#numbers + 1] = tonumber(number)
      end
    end
    assert.equal(1000, numbers[#numbers])
    for i = 2, #numbers do assert.equal(numbers[i - 1] + 1, numbers[i]) end
    local mode = process.run { argv = { "stat", "-c", "%a", path } }.stdout
    assert.equal("640\n", mode)
  end)

  it("grows when what was rotated cannot be moved away", function()
    local path = support.tmp() .. "/a.log"
    assert(core.file.mkdir(path .. ".1"))
    local proc = assert(process.spawn {
      shell = "seq 1 1000", log = { path = path, maxBytes = 100, keep = 1 },
    })
    assert.same({ code = 0 }, proc:wait(50))
    local text = support.read(path)
    for number in text:gmatch(" out (%d+)\n") do text = number end
    assert.equal("1000", text)
  end)

  it("says why it cannot be opened, and starts nothing", function()
    local proc, message, code = process.spawn {
      argv = { "sleep", "60" }, log = { path = "/no/such/a.log" },
    }
    assert.is_nil(proc)
    assert.truthy(message:find("cannot open the log /no/such/a.log", 1, true))
    assert.equal("not_found", code)
  end)
end)

describe("what outlives whom", function()
  -- Starts a host that spawns a stubborn tree; returns its pid, its guard's, and the tree's pids.
  local function start_tree()
    local dir = support.tmp()
    local script = host_script(([[
      local dir = %q
      local proc = assert(core.process.spawn {
        shell = "trap '' TERM; echo $$ >" .. dir .. "/main; setsid sh -c 'trap \"\" TERM; "
          .. "echo $$ >" .. dir .. "/far; sleep 61; sleep 61' & sleep 61; sleep 61",
        instance = %q,
      })
      local file = io.open(dir .. "/guard", "w")
      file:write(core.process.guard_pid(), "\n")
      file:close()
      print(core.process.guard_lost())
      while core.process.stat(proc.pid) do core.time.sleep(0.05) end
      file = io.open(dir .. "/ended", "w")
      file:write("yes\n")
      file:close()
    ]]):format(dir, "spec-" .. dir:match("[^/]+$") .. "/a@n"))
    local host = assert(process.spawn { argv = { "lua5.4", script }, env = host_env() })
    return {
      dir = dir, host = host, guard = await_pid(dir .. "/guard"),
      main = await_pid(dir .. "/main"), far = await_pid(dir .. "/far"),
    }
  end

  it("leaves no child when the agent is killed", function()
    local dir = support.tmp()
    local pid = detach_host(([[
      assert(core.process.spawn {
        shell = "trap '' TERM; echo $$ >%s/main; "
          .. "setsid sh -c 'trap \"\" TERM; echo $$ >%s/far; sleep 61; sleep 61' & "
          .. "sleep 61; sleep 61",
      })
      core.time.sleep(60)
    ]]):format(dir, dir))
    local main, far = await_pid(dir .. "/main"), await_pid(dir .. "/far")
    process.run { argv = { "kill", "-9", tostring(pid) } }
    support.wait_gone(main, 6)
    support.wait_gone(far, 6)
  end)

  it("leaves no child when the guard is killed, and tells the agent", function()
    local tree = start_tree()
    process.run { argv = { "kill", "-9", tostring(tree.guard) } }
    await_file(tree.dir .. "/ended")
    assert.same({ code = 0 }, tree.host:wait(50), table.concat(tree.host:tail(20), "\n"))
    assert.truthy(tree.host:tail(1)[1]:find("guard process %(pid " .. tree.guard .. "%) has died"))
    assert.is_false(support.procfs.alive(tree.main))
    assert.is_false(support.procfs.alive(tree.far))
  end)
end)

describe("the guard", function()
  local function fd_count(pid)
    local count = 0
    for _ in lfs.dir(("/proc/%d/fd"):format(pid)) do count = count + 1 end
    return count
  end

  it("keeps no file, no child and no zombie of what has ended", function()
    assert(process.run(sleeping(0)))
    local own, guard = fd_count(process.pid()), fd_count(process.guard_pid())
    for _ = 1, 20 do
      assert(process.spawn { shell = "setsid sleep 60 & exit 1" }):wait(50)
      process.run { argv = { "no-such-command" } }
      process.run { shell = "sleep 60", timeout = 0.01 }
    end
    collectgarbage()
    time.sleep(0)
    local children = ("/proc/%d/task/%d/children"):format(process.guard_pid(), process.guard_pid())
    support.wait_until(function() return support.read(children) == "" end, 5, "no children")
    support.wait_until(function()
      return fd_count(process.pid()) <= own and fd_count(process.guard_pid()) == guard
    end, 5, "the descriptors to be closed")
  end)

  it("does not end by a signal that was meant for everybody", function()
    local pid = process.guard_pid()
    process.run { shell = ("kill -TERM %d; kill -INT %d"):format(pid, pid) }
    assert.equal(0, process.run { argv = { "true" } }.code)
  end)
end)

describe("process.leftovers", function()
  it("finds what both were killed over, and ends it", function()
    local dir = support.tmp()
    local prefix = "spec-" .. dir:match("[^/]+$") .. "/"
    local pid = detach_host(([[
      assert(core.process.spawn {
        shell = "trap '' TERM; echo $$ >%s/main; while :; do sleep 0.1; done", instance = %q,
      })
      local file = io.open("%s/guard", "w")
      file:write(core.process.guard_pid(), "\n")
      file:close()
      core.time.sleep(60)
    ]]):format(dir, prefix .. "a@n", dir))
    local main, guard = await_pid(dir .. "/main"), await_pid(dir .. "/guard")
    process.run { shell = ("kill -STOP %d; kill -9 %d; kill -9 %d"):format(guard, pid, guard) }
    support.wait_gone(pid)
    assert.is_true(support.procfs.alive(main))
    local found
    support.wait_until(function() found = process.leftovers(prefix); return #found > 0 end)
    assert.equal(prefix .. "a@n", found[1].instance)
    assert.is_true(process.end_leftovers(prefix, 0.3) >= 1)
    assert.same({}, process.leftovers(prefix))
    assert.is_false(support.procfs.alive(main))
  end)

  it("does not name what we run ourselves", function()
    local proc = assert(process.spawn { argv = { "sleep", "60" }, instance = "spec-own/a@n" })
    assert.same({}, process.leftovers("spec-own/"))
    proc:kill()
    proc:wait(50)
  end)
end)

describe("process.signals", function()
  it("hands a signal to who waits, and keeps one for who comes later", function()
    local signals = process.signals { "USR1", "WINCH" }
    local waiting = core.task.spawn(function() return signals:next(50) end)
    local own = tostring(process.pid())
    process.run { argv = { "kill", "-USR1", own } }
    assert.equal("USR1", waiting:join(50))
    process.run { argv = { "kill", "-WINCH", own } }
    time.sleep(0)
    assert.equal("WINCH", signals:next(50))
    assert.equal("timeout", select(3, signals:next(0.01)))
    signals:close()
    assert.equal("closed", select(3, signals:next()))
  end)
end)

describe("process.detach", function()
  it("starts what is no child of ours, in a session of its own, with a log", function()
    local dir = support.tmp()
    local pid = assert(process.detach {
      argv = { "sh", "-c",
        "echo $$ $PPID; cut -d' ' -f6 /proc/$$/stat; echo done >" .. dir .. "/done" },
      log = dir .. "/log",
    })
    await_file(dir .. "/done")
    local own, parent, session = support.read(dir .. "/log"):match("(%d+) (%d+)%s+(%d+)")
    assert.equal(pid, tonumber(own))
    assert.not_equal(process.pid(), tonumber(parent))
    assert.not_equal(process.guard_pid(), tonumber(parent))
    local stat = process.run { shell = ("cut -d' ' -f6 /proc/%d/stat"):format(process.pid()) }
    assert.not_equal(tonumber(stat.stdout), tonumber(session))
    support.wait_gone(pid)
  end)

  it("reports what cannot be executed", function()
    local pid, message, code = process.detach { argv = { "/no/such/program" } }
    assert.is_nil(pid)
    assert.truthy(message:find("cannot detach /no/such/program", 1, true))
    assert.equal("not_found", code)
  end)
end)

describe("process, of this machine", function()
  it("knows itself", function()
    assert.equal(os.getenv("PATH"), process.env("PATH"))
    assert.is_nil(process.env("NO_SUCH_VARIABLE_HERE"))
    assert.equal(os.getenv("PATH"), process.environ().PATH)
    assert.equal(support.procfs.self(), process.pid())
    assert.truthy(process.executable():find("^/.*lua"))
    assert.equal(process.run { argv = { "id", "-un" } }.stdout, process.user().name .. "\n")
    assert.equal(process.run { argv = { "uname", "-n" } }.stdout, process.hostname() .. "\n")
    assert.equal(support.read("/proc/sys/kernel/random/boot_id"), process.boot_id() .. "\n")
  end)

  it("looks up users and processes", function()
    assert.equal(0, process.lookup_user("root").uid)
    assert.equal("not_found", select(3, process.lookup_user("no-such-user")))
    assert.equal("R", process.stat(process.pid()).state)
    assert.is_true(process.stat(process.pid()).startTime > 0)
    assert.is_nil(process.stat(4194305))
  end)
end)
