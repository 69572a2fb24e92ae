-- The manual of `make docs`: it is well made, and has all there is and nothing else.
local support = require "support"
local catalogue = require "orrery.cli.catalogue"
local core = require "orrery.core"
local help = require "orrery.cli.help"
local manual = require "orrery.docs.manual"
local meta = require "orrery.docs.meta"
local orrery = require "orrery"
local schema = require "orrery.schema"

local files

local function pages()
  files = files or manual.files(support.root, "2026-01-31")
  return files
end

local function run(argv, input)
  return assert(core.process.run { argv = argv, input = input, timeout = 60, cwd = support.root,
    maxOutput = 4 * 1024 * 1024 })
end

--- What is wrong with the HTML page, and its ids as a set.
local function examined(html)
  local result = run({ "/usr/bin/python3", support.root
    .. "/spec/support/well_formed_html.py" }, html)
  assert.equal("", result.stderr)
  local faults, ids = {}, {}
  for line in result.stdout:gmatch("[^\n]+") do
    local id = line:match("^id (.*)$")
    if id then ids[id] = true else faults[#faults + 1] = line end
  end
  return faults, ids
end

--- A man page as a reader sees it, its blanks squeezed.
local function shown(path)
  local result = run({ "mandoc", "-Tutf8", "-O", "width=200" }, pages()[path])
  assert.equal(0, result.code, result.stderr)
  local plain = result.stdout:gsub("[^\n\128-\255]\8", ""):gsub("%s+", " ")
  return plain
end

local function keys_of(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

-- The ids that begin so, without their beginning.
local function beginning(ids, prefix)
  local found = {}
  for id in pairs(ids) do
    if id:sub(1, #prefix) == prefix then found[id:sub(#prefix + 1)] = true end
  end
  return keys_of(found)
end

describe("each man page", function()
  for _, path in ipairs { "man/man1/orrery.1", "man/man3/orrery-lua.3",
    "man/man5/orrery-stack.5" } do
    it("is what man pages must be: " .. path, function()
      local lint = run({ "mandoc", "-Tlint" }, pages()[path])
      assert.equal("", lint.stdout .. lint.stderr)
      local groff = run({ "groff", "-ww", "-man", "-Tutf8" }, pages()[path])
      assert.equal("", groff.stderr)
      assert.equal(0, groff.code)
    end)
  end
end)

describe("the HTML page", function()
  it("is well formed, and stands alone", function()
    assert.same({}, (examined(pages()["orrery.html"])))
  end)

  it("is not praised whatever it is", function()
    assert.equal(2, #(examined("<p><b>x</p>")))
    assert.equal(1, #(examined('<p id="a">x</p><p id="a">y</p>')))
    assert.equal(1, #(examined('<p><a href="#b">x</a></p>')))
    assert.equal(1, #(examined("<p>a & b</p>")))
  end)
end)

-- ---- both ways ----

describe("the manual of commands", function()
  it("has each command and each option, and no other", function()
    local _, ids = examined(pages()["orrery.html"])
    local expected = {}
    local function option(id, one)
      if not one.hidden then expected[id .. "--" .. one.name] = true end
    end
    for _, one in ipairs(help.global_options) do option("option-", one) end
    for _, name in ipairs(catalogue.names()) do
      expected["command-" .. name] = true
      for _, one in ipairs(catalogue.get(name).options or {}) do
        local shared = one.section and "options-" .. one.section:gsub("[^%w]+", "-"):gsub("-$", "")
        option(shared and ids[shared] and shared or "command-" .. name, one)
      end
    end
    local found = {}
    for id in pairs(ids) do
      if id:find("^command%-") or id:find("^option.*%-%-") then found[id] = true end
    end
    assert.same(keys_of(expected), keys_of(found))
  end)

  it("has each exit code, with its meaning", function()
    local text = shown "man/man1/orrery.1"
    local status = text:match("EXIT STATUS(.*)ENVIRONMENT")
    for _, line in ipairs(help.exit_codes) do
      assert.truthy(status:find((line:gsub("%s+", " ")), 1, true), line)
    end
    for _, name in ipairs(catalogue.names()) do
      for _, line in ipairs(catalogue.get(name).exits or {}) do
        assert.truthy(text:find((line:gsub("%s+", " ")), 1, true), name .. ": " .. line)
      end
    end
  end)

  it("has each environment variable that is read, and no other", function()
    local passed_on = { PATH = true, LANG = true, TZ = true } -- told of services, in the schema
    local read, told = {}, {}
    local grep = run { "grep", "-rhoE", [[(getenv ?\(?|process\.env\()"[A-Z_]+"]],
      "lua/orrery", "--include=*.lua", "--exclude-dir=docs" }
    for name in grep.stdout:gmatch('"([A-Z_]+)"') do
      if not passed_on[name] then read[name] = true end
    end
    for _, pair in ipairs(require("orrery.docs.cli").variables) do told[pair[1]] = true end
    assert.same(keys_of(read), keys_of(told))
  end)
end)

describe("the manual of stack files", function()
  local SECTIONS = { stack = schema.stack, service = schema.service, check = schema.check,
    dependency = schema.dependency, variable = schema.variable, config = schema.config,
    discovery = schema.discovery, coordination = schema.coordination }

  local function own_section(node)
    for _, section in pairs(SECTIONS) do if section == node then return true end end
  end

  -- The names of keys, whatever table they stand in.
  local function add_keys(node, names)
    for key, field in pairs(node.fields or {}) do
      names[key] = true
      local below = { field, field.of, table.unpack(field.type == "either" and field.of or {}) }
      for _, inner in pairs(below) do
        if type(inner) == "table" and inner.fields and not own_section(inner) then
          add_keys(inner, names)
        end
      end
    end
    return names
  end

  it("has each key of each table, and no other", function()
    local _, ids = examined(pages()["orrery.html"])
    for name, node in pairs(SECTIONS) do
      local found = {}
      for _, path in ipairs(beginning(ids, name .. ".")) do found[path:match("[^.]+$")] = true end
      assert.same(keys_of(add_keys(node, {})), keys_of(found), name)
    end
  end)

  it("has each type, profile, filter and format, with what it says of itself", function()
    local _, ids = examined(pages()["orrery.html"])
    local text = shown "man/man5/orrery-stack.5"
    for kind, folder in pairs { types = "lua/types", profiles = "profiles", filters = "lua/filters",
      formats = "lua/formats" } do
      local names = {}
      for _, file in ipairs(assert(core.file.list(support.root .. "/" .. folder))) do
        local name = file:match("^(.*)%.lua$")
        if name then
          names[#names + 1] = name
          local words = support.read(support.root .. "/" .. folder .. "/" .. file)
            :match("^%-%-%- [%w_-]+ %-%- ([^\n`]+)")
          assert.truthy(words and text:find((words:gsub("%s+", " ")), 1, true), folder .. file)
        end
      end
      assert.same(names, beginning(ids, kind .. "-"))
    end
  end)
end)

describe("the manual of the Lua interface", function()
  it("has each function, type and field of the annotations, and no other", function()
    local _, ids = examined(pages()["orrery.html"])
    local text = shown "man/man3/orrery-lua.3"
    local expected, found = {}, {}
    for _, file in ipairs(core.file.list(support.root .. "/lua/meta")) do
      local blocks = file == "stacktypes.lua" and {}
        or meta.read(support.read(support.root .. "/lua/meta/" .. file))
      for _, block in ipairs(blocks) do
        if block.kind == "function" then
          expected[(block.owner or "global") .. (block.method and ":" or ".") .. block.name] = true
          local plain = (block.method and ":" or "") .. block.name .. "("
          assert.truthy(text:find(plain, 1, true), plain)
        end
      end
    end
    for id in pairs(ids) do
      if id:find("^orrery[%w._:]*[.:][%w_]+$") or id:find("^global%.") then found[id] = true end
    end
    -- Namespaces have fields, too: constants and what they hold.
    for id in pairs(found) do
      local owner, name = id:match("^(orrery[%w._]*)%.([%w_]+)$")
      local namespace = owner == "orrery" and orrery or owner and orrery[owner:match("%.(.*)$")]
      if type(namespace) == "table" and namespace[name] ~= nil
        and type(namespace[name]) ~= "function" then
        found[id] = nil
      end
    end
    assert.same(keys_of(expected), keys_of(found))
  end)
end)

describe("the annotations of stacks", function()
  it("are those of the schema (make docs writes them)", function()
    local written = support.read(support.root .. "/lua/meta/stacktypes.lua")
    assert.is_true(written == manual.annotations(), "run make docs")
  end)

  it("have every key", function()
    local classes = {}
    for _, block in ipairs(meta.read(manual.annotations())) do
      if block.kind == "class" then
        local names = {}
        for _, field in ipairs(block.fields) do names[field.name] = true end
        classes[block.name] = names
      end
    end
    for name, node in pairs { Stack = schema.stack, Service = schema.service, Check = schema.check,
      Dependency = schema.dependency, Variable = schema.variable, Config = schema.config,
      Discovery = schema.discovery, Coordination = schema.coordination } do
      assert.same(keys_of(node.fields), keys_of(classes["orrery." .. name]), name)
    end
  end)
end)

describe("orrery script write.lua", function()
  it("writes the manual", function()
    local dir = support.tmp()
    local code, _, err = support.orrery { "script", support.root .. "/lua/orrery/docs/write.lua",
      dir .. "/docs", timeout = 120, env = { SOURCE_DATE_EPOCH = "86400" } }
    assert.equal(0, code, err)
    assert.equal(pages()["orrery.html"], support.read(dir .. "/docs/orrery.html"))
    assert.matches("1970-01-02", support.read(dir .. "/docs/man/man1/orrery.1"), 1, true)
  end)
end)
