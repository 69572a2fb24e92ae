local support = require "support"
local orrery = require "orrery"
local file, task, time = orrery.file, orrery.task, orrery.time
local fails = support.fails

local root = file.stat("/proc/self").uid == 0

local function sh(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1"))
  return (pipe:read("a"):gsub("%s+$", ""))
end

local function mode_of(path) return ("%04o"):format(file.stat(path, { follow = false }).mode) end

--- Runs `body(dir)` with a small file system mounted on dir.
local function with_small_disk(body)
  if not root then return pending "needs root to mount a file system" end
  local dir = support.tmp()
  local said = sh(("mount -t tmpfs -o size=256k,mode=755 tmpfs %s"):format(dir))
  if said ~= "" then return pending("cannot mount a file system here: " .. said) end
  local ok, problem = pcall(body, dir)
  sh("umount " .. dir)
  assert(ok, problem)
end

describe("file.write and file.read", function()
  it("puts no file in the place of a pipe, nor of a link to one", function()
    local dir = support.tmp()
    assert.equal("", sh(("mkfifo %s/p; ln -s p %s/l"):format(dir, dir)))
    for _, name in ipairs { "p", "l" } do
      fails("invalid", "it is a device, a pipe or a socket, not a file", file.write(dir .. "/"
        .. name, "x"))
    end
    assert.equal("pipe", file.stat(dir .. "/l").type)
    assert.same({ "l", "p" }, file.list(dir))
  end)

  it("round-trips bytes, and an empty file", function()
    local path = support.tmp() .. "/a"
    for _, text in ipairs { "", "a\0b\n", ("x"):rep(200000) } do
      assert.is_true(file.write(path, text))
      assert.equal(text, file.read(path))
    end
  end)

  it("gives mode and owner before the name", function()
    local path = support.tmp() .. "/a"
    assert(file.write(path, "x"))
    assert.equal("0640", mode_of(path))
    assert(file.write(path, "x", { mode = "0600" }))
    assert.equal("0600", mode_of(path))
    assert(file.write(path, "y"))
    assert.equal("0600", mode_of(path), "an existing file keeps its mode")
    assert(file.write(path, "y", { mode = 420 }))
    assert.equal("0644", mode_of(path))
    if root then
      assert(file.write(path, "x", { owner = "nobody" }))
      local uid = file.stat(path).uid
      assert.equal(tonumber(sh "id -u nobody"), uid)
      assert(file.write(path, "z"))
      assert.equal(uid, file.stat(path).uid, "an existing file keeps its owner")
      assert(file.write(path, "x", { owner = "0:0" }))
      assert.equal(0, file.stat(path).uid)
    end
  end)

  it("replaces a link instead of following it", function()
    local dir = support.tmp()
    support.write(dir .. "/target", "old")
    sh(("ln -s target %s/link"):format(dir))
    assert(file.write(dir .. "/link", "new"))
    assert.equal("old", file.read(dir .. "/target"))
    assert.equal("file", file.stat(dir .. "/link", { follow = false }).type)
  end)

  it("leaves neither harm nor litter when the disk is full", function()
    with_small_disk(function(dir)
      assert(file.write(dir .. "/a", "precious"))
      fails("io", "/a: No space left on device", file.write(dir .. "/a", ("x"):rep(1 << 20)))
      assert.equal("precious", file.read(dir .. "/a"))
      assert.same({ "a" }, file.list(dir))
      fails("io", "No space", file.append(dir .. "/a", ("x"):rep(1 << 20)))
    end)
  end)

  it("says why a folder cannot be written", function()
    local dir = support.tmp()
    fails("not_found", "cannot write .*/none/a: No such file", file.write(dir .. "/none/a", "x"))
    assert(file.mkdir(dir .. "/sub"))
    assert.is_nil((file.write(dir .. "/sub", "x")))
    assert.same({ "sub" }, file.list(dir))
    if root and sh(("mount -t tmpfs -o ro tmpfs %s/sub"):format(dir)) == "" then
      local value, message, code = file.write(dir .. "/sub/a", "x")
      local writable, reason = file.writable(dir .. "/sub", "nobody")
      sh(("umount %s/sub"):format(dir))
      fails("denied", "Read%-only", value, message, code)
      assert.is_nil(writable)
      assert.matches("Read%-only", reason)
    end
  end)

  it("refuses unknown owners and doubtful modes", function()
    local path = support.tmp() .. "/a"
    fails("not_found", 'no user "nobody%-of%-that%-name"',
      file.write(path, "x", { owner = "nobody-of-that-name" }))
    fails("not_found", 'no group "nogroup%-x"', file.write(path, "x", { owner = "root:nogroup-x" }))
    assert.is_nil((file.stat(path)))
    assert.has_error(function() file.write(path, "x", { mode = 640 }) end)
    assert.has_error(function() file.write(path, "x", { mode = "rw" }) end)
    assert.has_error(function() file.write("a\0b", "x") end)
    assert.has_error(function() file.write("", "x") end)
    assert.has_error(function() file.read(("x"):rep(5000)) end)
  end)

  it("bounds what it reads, and reads no folder and no pipe", function()
    local dir = support.tmp()
    support.write(dir .. "/a", "12345")
    assert.equal("12345", file.read(dir .. "/a", { max = 5 }))
    fails("invalid", "larger than 4 bytes", file.read(dir .. "/a", { max = 4 }))
    fails("invalid", "a folder", file.read(dir))
    sh(("mkfifo %s/p"):format(dir))
    fails("invalid", "a pipe", file.read(dir .. "/p"))
    fails("not_found", "none", file.read(dir .. "/none"))
    assert.matches("%d", file.read("/proc/uptime"))
    fails("invalid", "larger than 100 bytes", file.read("/dev/zero", { max = 100 }))
  end)

  it("appends", function()
    local path = support.tmp() .. "/log"
    assert(file.append(path, "a\n", { mode = "0600" }))
    assert(file.append(path, "b\n"))
    assert.equal("a\nb\n", file.read(path))
    assert.equal("0600", mode_of(path))
  end)
end)

describe("folders", function()
  it("are made with their parents, whatever the umask", function()
    local dir = support.tmp()
    assert(file.mkdir(dir .. "/a/b/c/", "0700"))
    assert.equal("0700", mode_of(dir .. "/a/b/c"))
    assert.equal("0755", mode_of(dir .. "/a/b"))
    assert(file.mkdir(dir .. "/a/b/c", "0755"))
    assert.equal("0700", mode_of(dir .. "/a/b/c"), "an existing folder stays as it is")
    if root then
      assert(file.mkdir(dir .. "/d", "0750", { owner = "nobody" }))
      assert(file.mkdir(dir .. "/e", { owner = "nobody" }))
      assert.equal(tonumber(sh "id -u nobody"), file.stat(dir .. "/d").uid)
      assert.equal(file.stat(dir .. "/d").uid, file.stat(dir .. "/e").uid)
    end
    support.write(dir .. "/file", "")
    fails("exists", "cannot make the folder", file.mkdir(dir .. "/file"))
    fails("exists", "cannot make the folder", file.mkdir(dir .. "/file/x"))
  end)

  it("are listed in order", function()
    local dir = support.tmp()
    for _, name in ipairs { "b", "a", ".c" } do support.write(dir .. "/" .. name, "") end
    assert.same({ ".c", "a", "b" }, file.list(dir))
    fails("not_found", "none", file.list(dir .. "/none"))
  end)

  it("are removed whole, without following links", function()
    local dir = support.tmp()
    assert(file.mkdir(dir .. "/t/u/v"))
    support.write(dir .. "/t/u/f", "")
    support.write(dir .. "/keep", "kept")
    sh(("ln -s .. %s/t/up; ln -s nowhere %s/t/broken"):format(dir, dir))
    assert(file.remove_tree(dir .. "/t"))
    assert.same({ "keep" }, file.list(dir))
    assert.is_true(file.remove_tree(dir .. "/t"), "a missing one is fine")
    fails("invalid", "refused", file.remove_tree "/")
    fails("not_found", "none", file.remove(dir .. "/none"))
    assert(file.remove(dir .. "/keep"))
  end)

  it("are copied with modes and links, into an existing one too", function()
    local dir = support.tmp()
    assert(file.mkdir(dir .. "/from/bin"))
    assert(file.write(dir .. "/from/bin/run", "#!/bin/sh\n", { mode = "0755" }))
    sh(("ln -s bin/run %s/from/link"):format(dir))
    for _ = 1, 2 do
      assert(file.copy_tree(dir .. "/from", dir .. "/to", root and { owner = "nobody" } or nil))
    end
    assert.equal("0755", mode_of(dir .. "/to/bin/run"))
    assert.equal("link", file.stat(dir .. "/to/link", { follow = false }).type)
    assert.equal("#!/bin/sh\n", file.read(dir .. "/to/link"))
    if root then assert.equal(tonumber(sh "id -u nobody"), file.stat(dir .. "/to/bin/run").uid) end
    fails("invalid", "into itself", file.copy_tree(dir .. "/from", dir .. "/from/x"))
    fails("invalid", "into itself", file.copy_tree(dir .. "/from//", dir .. "/from/x"))
    fails("not_found", "none", file.copy_tree(dir .. "/none", dir .. "/x"))
    sh(("mkfifo %s/from/p"):format(dir))
    fails("invalid", "no file, folder or link", file.copy_tree(dir .. "/from", dir .. "/y"))
  end)

  it("are renamed", function()
    local dir = support.tmp()
    assert(file.mkdir(dir .. "/a"))
    assert(file.rename(dir .. "/a", dir .. "/b"))
    assert.same({ "b" }, file.list(dir))
    fails("not_found", "cannot rename .*/a to ", file.rename(dir .. "/a", dir .. "/c"))
  end)
end)

describe("facts", function()
  it("tell type, size, mode, owner and time", function()
    local dir = support.tmp()
    support.write(dir .. "/a", "123")
    local stat = file.stat(dir .. "/a")
    assert.equal("file", stat.type)
    assert.equal(3, stat.size)
    assert.is_true(math.abs(stat.mtime - time.now()) < 60)
    assert.equal("directory", file.stat(dir).type)
    assert.equal("device", file.stat("/dev/null").type)
    local space = file.space(dir)
    assert.is_true(space.free > 0 and space.free <= space.total)
    local detour = dir .. "/../" .. dir:match "[^/]+$" .. "/a"
    assert.equal(file.realpath(dir) .. "/a", file.realpath(detour))
    fails("not_found", "resolve", file.realpath(dir .. "/none"))
  end)

  it("change", function()
    local path = support.tmp() .. "/a"
    support.write(path, "")
    assert(file.chmod(path, "0400"))
    assert.equal("0400", mode_of(path))
    if not root then return end
    assert(file.chown(path, "nobody", "root"))
    assert.equal(0, file.stat(path).gid)
    fails("not_found", "no user", file.chown(path, "nobody-of-that-name"))
  end)

  it("tell who could write where", function()
    local dir = support.tmp()
    assert.is_true(file.writable(dir))
    assert.is_true(file.writable(dir .. "/not/yet"))
    if not root then return end
    assert(file.chmod(dir, "0755"))
    fails("denied", "by uid %d+: its mode is 0755", file.writable(dir .. "/x", "nobody"))
    assert(file.chown(dir, "nobody"))
    assert.is_true(file.writable(dir .. "/x", "nobody"))
    assert(file.mkdir(dir .. "/shut", "0700"))
    assert(file.mkdir(dir .. "/shut/open", { mode = "0777", owner = "nobody" }))
    fails("denied", "cannot be reached by uid", file.writable(dir .. "/shut/open", "nobody"))
    fails("not_found", "no user", file.writable(dir, "nobody-of-that-name"))
    for _, path in ipairs { dir, dir .. "/shut", dir .. "/shut/open", "/tmp", "/etc", "/root" } do
      local code = support.run({ "test", "-w", path }, { user = "nobody" })
      assert.equal(code == 0, file.writable(path, "nobody") == true, path)
    end
  end)
end)

--- A process that holds the lock until its input closes: {pid, release()}.
local function other_holder(path)
  local ready = support.tmp() .. "/ready"
  local pipe = assert(io.popen(("exec lua5.4 -e '%s'"):format(([[
    local file = require("orrery").file
    local lock <close> = assert(file.lock("%s"))
    assert(file.write("%s", file.read("%s")))
    io.read("a")]]):format(path, ready, path)), "w"))
  support.wait_until(function() return file.stat(ready) end, 20, "the other process's lock")
  return { pid = file.read(ready):match "%d+", release = function() pipe:close() end }
end

describe("file.lock", function()
  it("keeps others out, and names the holder", function()
    local path = support.tmp() .. "/lock"
    local other = other_holder(path)
    fails("exists", "/lock is locked by process " .. other.pid .. "$", file.lock(path))
    fails("exists", "by process " .. other.pid, file.lock(path, { wait = 0.1 }))
    other.release()
    local lock = assert(file.lock(path))
    assert.matches("^%d+\n$", file.read(path))
    lock:close()
    lock:close()
    assert.equal("", file.read(path))
  end)

  it("waits for its turn", function()
    local path = support.tmp() .. "/lock"
    local other = other_holder(path)
    local waiting = task.spawn(function()
      local lock <close> = assert(file.lock(path, { wait = 20 }))
      return lock ~= nil and file.read(path) ~= other.pid
    end)
    time.sleep(0.1)
    assert.is_false(waiting:done())
    other.release()
    assert.is_true(waiting:join(50))
  end)

  it("ends when its waiter is cancelled", function()
    local path = support.tmp() .. "/lock"
    local lock = assert(file.lock(path))
    local waiting = task.spawn(function() file.lock(path, { wait = 20 }) end)
    time.sleep(0.05)
    waiting:cancel()
    waiting:join()
    lock:close()
    local again <close> = assert(file.lock(path))
    assert.is_truthy(again)
  end)

  it("is not fooled by a removed lock file", function()
    local path = support.tmp() .. "/lock"
    local old = assert(file.lock(path))
    assert(file.remove(path))
    local new = assert(file.lock(path))
    fails("exists", "locked by process", file.lock(path))
    old:close()
    new:close()
  end)

  it("says where it cannot be made", function()
    fails("not_found", "cannot lock", file.lock(support.tmp() .. "/none/lock"))
  end)
end)

describe("file.watch", function()
  it("tells what changed in a folder", function()
    local dir = support.tmp()
    local watch = assert(file.watch(dir))
    support.write(dir .. "/a", "1")
    support.write(dir .. "/a", "2")
    assert.equal("a", watch:next(50))
    while watch:next(0.05) do end
    fails("timeout", "timed out", watch:next(0.05))
    for i = 1, 1000 do support.write(dir .. (i % 2 == 0 and "/a" or "/c"), tostring(i)) end
    assert.is_truthy(watch:next(50))
    local told = 1
    while watch:next(0.05) do told = told + 1 end
    assert.is_true(told <= 10, "each name is kept once, not " .. told .. " times")
    local waiting = task.spawn(function() return watch:next() end)
    time.sleep(0.02)
    support.write(dir .. "/b", "")
    assert.equal("b", waiting:join(50))
    watch:close()
    fails("closed", "closed", watch:next())
  end)

  it("follows one file through replacements, also before it exists", function()
    local dir = support.tmp()
    local watch <close> = assert(file.watch(dir .. "/a"))
    for _ = 1, 3 do
      support.write(dir .. "/other", "")
      assert(file.write(dir .. "/a", "x"))
      assert.equal("a", watch:next(50))
      watch:next(0.05)
    end
  end)

  it("ends its waiters when it is closed, cancelled or its folder goes", function()
    local dir = support.tmp()
    assert(file.mkdir(dir .. "/sub"))
    local watch = assert(file.watch(dir .. "/sub"))
    local first = task.spawn(function() return watch:next() end)
    time.sleep(0.02)
    first:cancel()
    local second = task.spawn(function() return watch:next() end)
    time.sleep(0.02)
    watch:close()
    fails("closed", "closed", second:join(50))
    watch = assert(file.watch(dir .. "/sub"))
    local third = task.spawn(function()
      while true do
        local name, message, code = watch:next()
        if not name then return name, message, code end
      end
    end)
    time.sleep(0.02)
    assert(file.remove_tree(dir .. "/sub"))
    fails("not_found", "was removed", third:join(50))
    fails("not_found", "was removed", watch:next())
    watch:close()
    fails("not_found", "cannot watch", file.watch(dir .. "/none/x"))
  end)

  it("allows one waiter at a time, and is collected when forgotten", function()
    local dir = support.tmp()
    local watch = assert(file.watch(dir))
    local first = task.spawn(function() return watch:next() end)
    time.sleep(0.02)
    assert.has_error(function() watch:next(0) end)
    first:cancel()
    first:join()
    watch = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)
end)

describe("the terminal", function()
  it("is told from a file", function()
    assert.is_boolean(file.isatty(1))
    assert.is_false(file.isatty(999))
    assert.is_true(file.columns() >= 20)
  end)

  it("is written in full through a pipe that does not block", function()
    local script = ([[
      local file = require("orrery").file
      local ok, message, code = file.write_fd(1, ("x"):rep(300000))
      file.write_fd(2, code or "ok")]]):gsub("\n", " ")
    local nonblocking = "perl -MFcntl -e "
      .. "'fcntl(STDOUT, F_SETFL, O_NONBLOCK | fcntl(STDOUT, F_GETFL, 0)); exec @ARGV'"
    local run = nonblocking .. " lua5.4 -e '" .. script .. "'"
    assert.equal("300000", sh(("{ %s 2>/dev/null; } | { sleep 0.3; wc -c; }"):format(run)))
    local dir = support.tmp()
    sh(("{ %s 2>%s/err; } | head -c 10 >/dev/null"):format("trap '' PIPE; " .. run, dir))
    assert.equal("closed", file.read(dir .. "/err"))
  end)

  it("refuses other descriptors", function()
    assert.has_error(function() file.write_fd(0, "x") end)
    assert.has_error(function() file.write_fd(3, "x") end)
  end)
end)
