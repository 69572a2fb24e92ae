-- Installing what service types need on disk.
local lfs = require "lfs"
local support = require "support"
local orrery = require "orrery"
local package_of = require "orrery.package"
local packages = require "support.packages"

local file = orrery.file

describe("package", function()
  local stack

  -- A stack beside which packages/<name>/ holds the files.
  local function with_package(name, files)
    local folder = stack.dir .. "/packages/" .. name
    assert(file.mkdir(folder, "0755"))
    for entry, text in pairs(files) do support.write(folder .. "/" .. entry, text) end
  end

  -- The Node package is installed once for all runs.
  local function with_node()
    assert(package_of.ensure_named(packages.stack(), "node"))
    assert(file.mkdir(stack.dirs.packages, "0755"))
    assert(lfs.link(support.packages() .. "/node", stack.dirs.packages .. "/node", true))
  end

  before_each(function()
    local dir = support.tmp()
    stack = { dir = dir, dirs = { packages = dir .. "/installed" }, services = {} }
  end)

  it("copies a package's files, and gives services the folder", function()
    with_package("echo", { run = "#!/bin/sh\necho hello\n" })
    local service = { type = "echo", dirs = {} }
    local folder = assert(package_of.ensure(stack, service))
    assert.equal("#!/bin/sh\necho hello\n", support.read(folder .. "/run"))
    assert.equal(folder, service.dirs.package)
    assert.same({ folder }, package_of.path_for(stack, service))
  end)

  it("has nothing to do for a type without a package, or an external service", function()
    assert.same({ n = 1 }, table.pack(package_of.ensure(stack, { type = "sqlite", dirs = {} })))
    assert.same({ n = 1 }, table.pack(package_of.ensure(stack,
      { type = "pds", external = true, dirs = {} })))
    assert.is_false(support.exists(stack.dirs.packages))
  end)

  it("keeps a folder whose files are the same, and makes another when they change", function()
    with_package("echo", { run = "one" })
    local first = assert(package_of.ensure_named(stack, "echo"))
    assert.equal(first, package_of.ensure_named(stack, "echo"))
    with_package("echo", { run = "two" })
    local second = assert(package_of.ensure_named(stack, "echo"))
    assert.not_equal(first, second)
    assert.equal("one", support.read(first .. "/run"))
    assert.equal("two", support.read(second .. "/run"))
  end)

  it("can be read by another user, whatever our umask made of it", function()
    with_package("echo", { run = "x" })
    assert(file.chmod(stack.dir .. "/packages/echo/run", "0600"))
    local folder = assert(package_of.ensure_named(stack, "echo"))
    assert.equal(tonumber("644", 8), file.stat(folder .. "/run").mode)
    assert.equal(tonumber("755", 8), file.stat(folder).mode)
  end)

  it("lets two installers of one package at once end with one folder", function()
    with_package("echo", { run = "x" })
    local one = orrery.task.spawn(package_of.ensure_named, stack, "echo")
    local other = orrery.task.spawn(package_of.ensure_named, stack, "echo")
    local folder = assert(one:join())
    assert.equal(folder, other:join())
    assert.same({ ".lock", folder:match("[^/]+$") }, file.list(stack.dirs.packages .. "/echo"))
  end)

  it("removes what an interrupted installer left", function()
    with_package("echo", { run = "x" })
    local folder = stack.dirs.packages .. "/echo"
    assert(file.mkdir(folder .. "/0123456789abcdef.tmp-1", "0755"))
    local made = assert(package_of.ensure_named(stack, "echo"))
    assert.same({ ".lock", made:match("[^/]+$") }, file.list(folder))
  end)

  it("says what npm said when it fails, and keeps nothing", function()
    with_node()
    with_package("broken", {
      ["package.json"] = '{"name": "broken", "scripts": {"preinstall": "echo no room; exit 3"}}',
      ["package-lock.json"] = '{"name": "broken", "lockfileVersion": 3, "packages": {"": {}}}',
    })
    local lines = {}
    local folder, message, code = package_of.ensure_named(stack, "broken",
      function(line) lines[#lines + 1] = line end)
    assert.is_nil(folder)
    assert.equal("failed", code)
    assert.matches("installing broken with npm ended with exit code 3", message, 1, true)
    assert.matches("no room", message, 1, true)
    assert.equal("installing broken with npm ...", lines[1]) -- on a busy machine there are more
    assert.same({ ".lock" }, file.list(stack.dirs.packages .. "/broken"))
  end)

  it("gives Node services a recent Node.js first in PATH", function()
    with_node()
    with_package("tiny", {
      ["package.json"] = '{"name": "tiny"}',
      ["package-lock.json"] = '{"name": "tiny", "lockfileVersion": 3, "packages": {"": {}}}',
    })
    local service = { type = "tiny", dirs = {} }
    assert(package_of.ensure(stack, service))
    local path = table.concat(package_of.path_for(stack, service), ":")
    local _, version = support.run({ "node", "--version" }, { env = { PATH = path } })
    assert.matches("^v22%.", version)
  end)
end)
