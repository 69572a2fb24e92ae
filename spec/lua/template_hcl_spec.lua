-- What the HCL template specification says, and what bounds a template.
require "support"

local errors = require "orrery.template.errors"
local template = require "orrery.template"
local values = require "orrery.template.values"

local function render(text, scope, options)
  local result, err = template.render(text, scope or {}, options)
  return assert(result, err and tostring(err))
end

local function problem(text, scope, options)
  local result, err = template.render(text, scope or {}, options)
  assert.is_nil(result, ("it rendered: %q"):format(tostring(result):sub(1, 80)))
  assert.is_true(errors.is(err))
  return err
end

local function all(cases, scope)
  for text, expected in pairs(cases) do assert.are.equal(expected, render(text, scope), text) end
end

describe("template: trim markers, as HCL has them,", function()
  it("take the blanks beside them", function()
    all {["a ${~ \"b\" } c"] = "ab c", ["a ${ \"b\" ~} c"] = "a bc", ["a ${~\"b\"~} c"] = "abc",
      ["%{ if true ~} x %{~ endif }"] = "x", ["%{ if false ~} x %{~ else ~} y %{~ endif }"] = "y",
      ["%{ for x in [1, 2] ~} ${x} %{~ endfor }"] = "12", [" ${~ true ~} "] = "true"}
  end)

  it("take one line: its break behind, its indentation before", function()
    all {["a\n${~ 1 }"] = "a1", ["a \n${~ 1 }"] = "a1", ["a\n  ${~ 1 }"] = "a\n1",
      ["a\n\n${~ 1 }"] = "a\n1", ["a\n  \n${~ 1 }"] = "a\n1", ["${1 ~}\nb"] = "1b",
      ["${1 ~}  \n  b"] = "1  b", ["${1 ~}\n\nb"] = "1\nb", ["${1 ~}\r\n b"] = "1 b",
      ["a\r\n${~ 1 }"] = "a1"}
  end)

  it("know the white space of Unicode", function()
    all {["a\u{a0}\u{2003}${~ 1 ~}\u{3000}\u{85}b"] = "a1b", ["a\t\v\f${~ 1 }"] = "a1",
      ["é${~ 1 ~}é"] = "é1é", ["\u{200b}${~ 1 }"] = "\u{200b}1"}
  end)

  it("do not reach into values or over other sequences", function()
    all {['${"a " ~}${" b"}'] = "a  b", ['${" "}${~ 1 }'] = " 1", ["$${ ${~ 1 }"] = "${1",
      ["%%{ ${~ 1 }"] = "%{1"}
  end)

  it("take all white space of a quoted string, which is one line", function()
    all {[ [[${"a\n \n${~ 1 ~}\n\n b"}]] ] = "a1b"}
  end)
end)

describe("template: literals, as HCL has them,", function()
  it("keep what is no opening", function()
    all {["$"] = "$", ["$$"] = "$$", ["%"] = "%", ["%%"] = "%%", ["$$x %%x"] = "$$x %%x",
      ["a\\nb \\u00e9"] = "a\\nb \\u00e9", ["%${1}"] = "%1", ["$%{ if true }x%{ endif }"] = "$x",
      ["$${a}"] = "${a}", ["$$${a}"] = "$${a}", ["%%{ if }"] = "%{ if }",
        ["$${~ a ~}"] = "${~ a ~}"}
  end)

  it("unwrap what is one sequence alone", function()
    assert.is_true((template.value("${true}", {})))
    assert.is_true((template.value('${"${true}"}', {})))
    assert.are.equal("true", (template.value('${""}${true}', {})))
    assert.are.equal("true", (template.value("%{ for v in [true] }${v}%{ endfor }", {})))
    assert.are.equal("true", (template.value(" ${~ true }", {})))
  end)

  it("count from 0, and go through maps in the order of their keys", function()
    all({["%{ for i, v in l }${i}${v}%{ endfor }"] = "0a1b",
      ["%{ for k, v in {B = 2, A = 1} }${k}${v}%{ endfor }"] = "A1B2",
      ["%{ for v in {B = 2, A = 1} }${v}%{ endfor }"] = "12",
      ["${l[0]}${l.1}"] = "ab", ["%{ for k, v in {a = false, b = null} }${k}%{ endfor }"] = "ab"},
      {l = {"a", "b"}})
  end)

  it("have no elseif, and say so", function()
    assert.matches("'elseif' is no directive", problem("%{ if true }%{ elseif true }%{ endif }")
      .summary)
    assert.matches("'else' has no place", problem("%{ for x in [] }%{ else }%{ endfor }").summary)
    assert.matches("'else' has no place",
      problem("%{ if true }%{ else }%{ else }%{ endif }").summary)
  end)

  it("work out the branch that counts, whatever it is", function()
    all({["${t ? f : t}"] = "false", ["${f ? t : f}"] = "false", ["${t ? f : \"x\"}"] = "false",
      ["${f ? \"x\" : f}"] = "false", ["${t ? 0 : 1}"] = "0", ["${f ? null : 1}"] = "1",
      ["${t ? [] : 1 | length}"] = "0", ["${(t ? f : f) == false}"] = "true",
      ["${t && f || t}"] = "true", ["${!f && !(f || f)}"] = "true", ["${n ? 1 : 2}"] = "2"},
      {t = true, f = false, n = values.null})
  end)
end)

describe("template: errors at run time", function()
  it("have the place and the caret, in every kind of block", function()
    for text, place in pairs {
      ["a\nb ${x.y}"] = "2:7", ["%{ if true }\n  ${x.y}%{ endif }"] = "2:7",
      ["%{ for i in [1] }\n\n${\"a${x.y}\"}%{ endfor }"] = "3:9",
      ["\n\n${1 + \"2\"}"] = "3:5", ["${upper([])}"] = "1:3", ["\n${[] | first}"] = "2:8",
      ["${x.z ? 1 : 2}"] = "1:5", ["é${x.y}"] = "1:6", ["a\n${\"x\" | number}b"] = "2:9",
      ["${{a = x.y}.a}"] = "1:10", ["%{ for a in x.q }%{ endfor }"] = "1:15",
      ["${[] | first}"] = "1:8", ["${\"%{ if true }${x.y}%{ endif }\"}"] = "1:20",
    } do
      local err = problem(text, {x = {z1 = 1}})
      assert.are.equal(place, ("%d:%d"):format(err.line, err.column), text .. " " .. err.summary)
      local line, caret = err.message:match("\n(.-)\n(.-)$")
      assert.are.equal("^", caret:sub(-1))
      assert.is_true(#line >= #caret - 2)
    end
  end)

  it("are those of the rendering that runs, not of the one that was compiled", function()
    local text = "${a.b} in two places"
    assert.matches("^one:1:5:", problem(text, {a = {}}, {name = "one"}).message)
    assert.matches("^two:1:5:", problem(text, {a = {}}, {name = "two"}).message)
    local hidden = problem(text, {a = {}}, {name = "three", hidden = true}).message
    assert.is_nil(hidden:find("in two places", 1, true))
  end)

  it("name unknown filters before anything is rendered", function()
    assert.matches("there is no filter 'uper'",
      problem("%{ if false }${1 | uper}%{ endif }").summary)
  end)
end)

describe("template: work", function()
  local function numbers(count)
    local list = {}
    for i = 1, count do list[i] = i end
    return list
  end

  local function ends(text, scope, message)
    local began = os.clock()
    assert.matches(message, problem(text, scope).summary)
    assert.is_true(os.clock() - began < 30)
  end

  it("of nested loops over long lists is bounded before it is done", function()
    ends("%{ for a in l }%{ for b in l }x%{ endfor }%{ endfor }", {l = numbers(100000)},
      "more than a million times")
    ends("%{ for a in l }" .. ("${a + 1 == 2 ? 1 : 2}"):rep(1000) .. "%{ endfor }",
      {l = numbers(100000)}, "too much work")
    ends("%{ for a in l }" .. ("%{ if a == 0 }${a}%{ endif }"):rep(1000) .. "%{ endfor }",
      {l = numbers(100000)}, "too much work")
  end)

  it("of filters over long lists and texts is counted", function()
    local scope = {l = numbers(2000), m = numbers(2000), t = ("x"):rep(1000000),
      u = ("x"):rep(99999) .. "y"}
    for _, text in ipairs {"${l | sort | length}", "${t | sha256 | length}", "${t == u}",
      "${l == m}", '${t | replace("x", "yy") | length}', "${t < u}", "${l | json | length}"} do
      local began = os.clock()
      local err = problem("%{ for a in l }" .. text .. "%{ endfor }", scope, {maxSteps = 200000})
      assert.matches("too much work for a template: more than 200000 steps", err.summary)
      assert.is_true(os.clock() - began < 30, text)
    end
  end)

  it("of texts that double is bounded", function()
    local text = '"${a}"'
    for _ = 1, 13 do text = ('"${%s}${%s}"'):format(text, "a") end
    assert.is_true(#render("${" .. text .. "}", {a = ("x"):rep(1000)}) < 20000)
    ends(('%%{ for i in l }${"%s"}%%{ endfor }'):format(("${a}"):rep(16)), {l = numbers(1000),
      a = ("x"):rep(20000)}, "over 16 MiB")
    ends('%{ for i in l }%{ if "${a}${a}" == "" }%{ endif }%{ endfor }', {l = numbers(1000),
      a = ("x"):rep(20000)}, "over 16 MiB")
  end)

  it("of a large template is done", function()
    local parts, scope = {}, {x = "v"}
    for i = 1, 10000 do parts[i] = ("K%d=${x}-${x | upper}\n"):format(i) end
    local result = render(table.concat(parts), scope)
    assert.are.equal("K1=v-V", result:match("^[^\n]*"))
    assert.are.equal(10000, select(2, result:gsub("\n", "")))
    local list = {}
    for i = 1, 10000 do list[i] = {id = "i" .. i, port = i} end
    result = render("%{ for i in l ~}\nserver ${i.id} ${i.port}\n%{ endfor ~}\n", {l = list})
    assert.are.equal("server i10000 10000", result:match("([^\n]*)\n$"))
  end)

  it("says which line of it wrote a wrong line, also behind loops", function()
    local _, _, locate = template.render(
      "a\n%{ for i in [1, 2] ~}\n${i}\nmid\n%{ endfor ~}\n%{ if true ~}\nin\n%{ endif ~}\nend", {})
    local lines = {}
    for line = 1, 7 do lines[line] = locate(line) end
    assert.are.same({1, 3, 4, 3, 4, 7, 9}, lines)
    _, _, locate = template.render("plain\ntext\n", {})
    assert.are.equal(2, locate(2))
  end)
end)
