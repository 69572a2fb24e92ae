require "support"

local errors = require "orrery.template.errors"
local secret = require "orrery.secret"
local template = require "orrery.template"
local values = require "orrery.template.values"

local function render(text, scope, options)
  local result, err = template.render(text, scope or {}, options)
  assert(result, err and tostring(err))
  return result
end

local function problem(text, scope, options)
  local result, err = template.render(text, scope or {}, options)
  assert.is_nil(result, ("it rendered: %q"):format(tostring(result)))
  assert.is_true(errors.is(err))
  return err
end

local function same(expected, text, scope) assert.are.equal(expected, render(text, scope)) end

describe("template: values as text", function()
  it("leaves text without sequences as it is", function()
    same("", "")
    same("a $ b % c $x {y} \\n \"", "a $ b % c $x {y} \\n \"")
  end)

  it("writes booleans as true and false", function()
    same("true false", "${a} ${b}", {a = true, b = false})
  end)

  it("writes whole numbers without a fraction, and others shortest", function()
    same("3 3 -7 0.1 1.5 9007199254740993", "${a} ${b} ${c} ${d} ${e} ${f}",
      {a = 3, b = 3.0, c = -7, d = 0.1, e = 1.5, f = 9007199254740993})
  end)

  it("refuses numbers that are not finite", function()
    assert.matches("not finite", problem("${x}", {x = math.huge}).summary)
    assert.matches("not finite", problem("${1e999}").summary)
  end)

  it("refuses null, and says what to do", function()
    assert.matches("has no value; set it, or use | default", problem("${x}",
      {x = values.null}).summary)
    same("other", "${x | default(\"other\")}", {x = values.null})
  end)

  it("refuses lists and maps, and suggests | json", function()
    assert.matches("| json", problem("${x}", {x = {1, 2}}).summary)
    assert.matches("| json", problem("${x}", {x = {a = 1}}).summary)
    same('{"a":[1,2]}', "${x | json}", {x = {a = {1, 2}}})
  end)
end)

describe("template: expressions", function()
  it("reads fields and items, counted from 0", function()
    same("zero one c", '${a.b["c"][0]} ${a.b.c.1} ${a["k" ]}',
      {a = {b = {c = {"zero", "one"}}, k = "c"}})
    same("x", "${a[i + 1]}", {a = {"w", "x"}, i = 0})
  end)

  it("has the operators of HCL, with their precedence", function()
    same("7 9 3 2.5 1 -1", "${1 + 2 * 3} ${(1 + 2) * 3} ${9 / 3} ${5 / 2} ${7 % 3} ${-7 % 3}")
    same("true true false true",
      "${1 + 1 == 2 && 3 > 2} ${!false} ${1 >= 2 || false} ${\"a\" < \"b\"}")
    same("big", '${5 > 3 ? "big" : "small"}')
    same("c", '${false ? "a" : true && false ? "b" : "c"}')
    same("-3", "${-(1 + 2)}")
  end)

  it("works out only the branch it needs", function()
    same("fine", '${true ? "fine" : missing}')
    same("true false", "${true || missing} ${false && missing}")
  end)

  it("has strings with escapes and with sequences in them", function()
    same('a"b\\c\n\té', [[${"a\"b\\c\n\t\u00e9"}]])
    same("<x-3>", '${"<${a}-${1 + 2}>"}', {a = "x"})
    same("ab", '${"${"a${"b"}"}"}')
    same("${x} %{ y }", '${"$${x} %%{ y }"}')
    same("1,2,", '${"%{ for x in l }${x},%{ endfor }"}', {l = {1, 2}})
  end)

  it("has lists, maps and comments", function()
    same("2 b", "${[1, 2, 3,][1]} ${{a = 1, \"k\" : \"b\"}.k}")
    same("3", "${ /* one */ 1 + # two\n 2 // three\n }")
    same("v", "${{(k) = \"v\"}.name}", {k = "name"})
  end)

  it("compares lists and maps by what is in them", function()
    same("true false true", "${a == b} ${a == c} ${x != null}",
      {a = {1, {k = 2}}, b = {1, {k = 2}}, c = {1, {k = 3}}, x = 1})
  end)

  it("pipes the whole expression, and has filters as functions", function()
    same("AB", '${"a" == "a" ? "ab" : "c" | upper}')
    same("3 A,B", '${length("abc")} ${upper(join(["a", "b"], ","))}')
    same("a-b", '${"a.b" | replace(".", "-")}')
  end)

  it("has names with dashes, as services have them", function()
    same("x", "${service.my-pds.url}", {service = {["my-pds"] = {url = "x"}}})
    assert.matches("put blanks around", problem("${port-1}", {port = 3}).summary)
    same("2", "${port - 1}", {port = 3})
  end)

  it("escapes openings", function()
    same("${x} %{ if } $x $5", "$${x} %%{ if } $x $5")
  end)
end)

describe("template: directives", function()
  it("chooses with if and else", function()
    same("yes", "%{ if x }yes%{ else }no%{ endif }", {x = true})
    same("no", "%{ if x }yes%{ else }no%{ endif }", {x = false})
    same("", "%{ if x }yes%{ endif }", {x = values.null})
  end)

  it("loops over lists, with and without the index", function()
    same("a;b;", "%{ for x in l }${x};%{ endfor }", {l = {"a", "b"}})
    same("0a1b", "%{ for i, x in l }${i}${x}%{ endfor }", {l = {"a", "b"}})
    same("", "%{ for x in l }${x}%{ endfor }", {l = {}})
  end)

  it("loops over maps in the order of their keys", function()
    same("a=1 b=2 ", "%{ for k, v in m }${k}=${v} %{ endfor }", {m = {b = 2, a = 1}})
  end)

  it("nests, and loop names hide others", function()
    same("x[1:a 2:a ]x",
      "${a}[%{ for n in l }%{ for a in [\"a\"] }${n}:${a} %{ endfor }%{ endfor }]${a}",
      {a = "x", l = {1, 2}})
  end)

  it("leaves no line behind with ~, and keeps the indentation around it", function()
    same("a\n  b=1\n  c\nd\n",
      "a\n%{ if x ~}\n  b=${x}\n%{ endif ~}\n  c\n%{ if !x ~}\n  e\n%{ endif ~}\nd\n",
      {x = 1})
    same("[ab]", "[a  ${~ x }]", {x = "b"})
    same("[b\n c]", "[${x ~}  \n\n c]", {x = "b"})
    same("1\n2\n", "%{ for x in [1, 2] ~}\n${x}\n%{ endfor ~}\n")
    same("a\r\nb", "%{ if true ~}\r\na\r\n%{ endif ~}\r\nb")
  end)

  it("says which block is open", function()
    assert.matches("this '%%{ if }' has no 'endif'", problem("x\n%{ if true }", {}).summary)
    assert.matches("this '%%{ for }' has no 'endfor'",
      problem("%{ for x in [] }%{ if x }%{ endif }").summary)
    assert.matches("'endif' has no place here", problem("%{ for x in [] }%{ endif }").summary)
    assert.matches("is no directive", problem("%{ while x }").summary)
  end)
end)

describe("template: errors", function()
  it("show file, line, column, the line and a caret", function()
    local err = problem("one\ntwo ${hostnme} x\nthree", {hostname = 1}, {name = "pds.env"})
    assert.are.equal(table.concat({
      "pds.env:2:7: 'hostnme' is not declared; did you mean \"hostname\"?",
      "  two ${hostnme} x",
      "        ^",
    }, "\n"), err.message)
    assert.are.same({"pds.env", 2, 7}, {err.file, err.line, err.column})
    assert.are.equal(err.message, tostring(err))
    assert.is_false(err.pending)
  end)

  it("count columns in characters, and show no control characters", function()
    local err = problem("é\27[31m ${nope}", {})
    assert.are.equal(10, err.column)
    assert.is_nil(err.message:find("\27", 1, true))
    assert.are.equal(("  é [31m ${nope}\n  %s^"):format((" "):rep(9)), err.message:match("\n(.*)$"))
  end)

  it("cut long lines around the place", function()
    local err = problem(("x"):rep(5000) .. "${nope}" .. ("y"):rep(5000))
    assert.is_true(#err.message < 400)
    local line, caret = err.message:match("\n(.-)\n(.-)$")
    assert.are.equal("nope", line:sub(#caret, #caret + 3))
  end)

  it("name what is not closed, where it began", function()
    assert.are.equal(3, problem("a ${b | ").column)
    assert.are.equal(3, problem("a ${b + [1, ").column)
    assert.matches("no closing '}'", problem("a ${b").summary)
    assert.matches("no closing quote", problem('${"abc').summary)
    assert.matches("must end on its line", problem('${"abc\n"}').summary)
    assert.matches("%*/", problem("${ /* x }").summary)
  end)

  it("name unknown filters and fields", function()
    assert.matches('no filter \'uper\'; did you mean "upper"', problem("${x | uper}",
      {x = "a"}).summary)
    assert.matches('no field \'ur\'; did you mean "url"', problem("${x.ur}",
      {x = {url = 1}}).summary)
    assert.matches("there is no %[2%]", problem("${x[2]}", {x = {1, 2}}).summary)
    assert.matches("put it into %%{ if x }", problem("${x.url}", {x = false}).summary)
  end)

  it("refuse wrong operands and say which filter helps", function()
    assert.matches("| number", problem('${"1" + 1}').summary)
    assert.matches("division by zero", problem("${1 / 0}").summary)
    assert.matches("division by zero", problem("${1 % 0}").summary)
    assert.matches("needs two numbers or two strings", problem('${"1" < 1}').summary)
    assert.matches("needs a list or a map", problem("%{ for x in 3 }%{ endfor }").summary)
  end)

  it("carry the message of a filter", function()
    assert.matches("number: this is not a number", problem('${"x" | number}').summary)
    assert.matches("my words", problem("${x | required(\"my words\")}", {x = values.null}).summary)
  end)

  it("come from compile() as a message", function()
    local fn, message = template.compile("${", "f.tmpl")
    assert.is_nil(fn)
    assert.matches("^f.tmpl:1:1: this '%${' has no closing '}'\n  %${\n  ^", message)
  end)

  it("name the template's line for a line of the result", function()
    local _, _,
      locate = template.render("a\n%{ for x in [1, 2] ~}\n${x}\nmid\n%{ endfor ~}\nend\n", {})
    local lines = {}
    for line = 1, 6 do lines[line] = locate(line) end
    assert.are.same({1, 3, 4, 3, 4, 6}, lines)
  end)
end)

describe("template: bounds", function()
  it("refuses deep nesting of every kind, without trouble", function()
    for _, text in ipairs {
      "${" .. ("("):rep(100000), "${" .. ("!"):rep(100000) .. "x}",
        "${" .. ("-"):rep(100000) .. "1}",
      "${" .. ("["):rep(100000), "${" .. ("{a="):rep(100000), '${"' .. ('${"'):rep(50000),
      "${1" .. ("+1"):rep(100000) .. "}", "${a" .. (".b"):rep(100000) .. "}",
      ("%{ if true }"):rep(50000), "${x" .. (" | upper"):rep(50000) .. "}",
      "${" .. ("true ? 1 : "):rep(50000) .. "1}", "${f(" .. ("f("):rep(50000),
    } do
      problem(text, {a = {}, x = "x"})
    end
    problem(("%{ for a in [1] }"):rep(17) .. ("%{ endfor }"):rep(17))
  end)

  it("compiles what is as deep as it may be", function()
    same("1", "${" .. ("("):rep(30) .. "1" .. (")"):rep(30) .. "}")
    same("31", "${0" .. ("+1"):rep(31) .. "}")
    same("x", ("%{ if true }"):rep(30) .. "x" .. ("%{ endif }"):rep(30))
    same("x", ('${"'):rep(14) .. "x" .. ('"}'):rep(14))
    local loops = {}
    for i = 1, 16 do loops[i] = ("%%{ for a%d in [1] }"):format(i) end
    same("x", table.concat(loops) .. "x" .. ("%{ endfor }"):rep(16))
  end)

  it("bounds loops and output", function()
    local list = {}
    for i = 1, 1001 do list[i] = i end
    local twice = "%{ for a in l }%{ for b in l }%{ endfor }%{ endfor }"
    assert.matches("more than a million times", problem(twice, {l = list}).summary)
    local long = ("x"):rep(20000)
    assert.matches("over 16 MiB", problem("%{ for a in l }${t}%{ endfor }", {l = list,
      t = long}).summary)
    assert.matches("over 1 MiB", problem(("x"):rep(1024 * 1024 + 1)).summary)
    assert.matches("more than 20000 sequences", problem(("${t}"):rep(20001), {t = "x"}).summary)
    same(("x"):rep(20000), ("${t}"):rep(20000), {t = "x"})
  end)
end)

describe("template: what it cannot reach", function()
  it("has no globals, no functions but filters, and no methods", function()
    for _, text in ipairs {"${os}", "${_G}", "${require(\"os\")}", "${string.format}",
      "${load(\"x\")}",
                           "${_ENV}", "${run}", "${get}", "${\"\".rep}", "${x.__index}"} do
      problem(text, {x = {}})
    end
  end)

  it("takes arguments of filters literally: there are no patterns", function()
    same("a-b", '${"a.b" | replace(".", "-")}')
    same("%1", '${"a" | replace("a", "%1")}')
    same('["a","b"]', '${"a.*b" | split(".*") | json}')
  end)

  it("never evaluates what a value says", function()
    local evil = "${secret} %{ if x }\\\" ]] --"
    same(evil, "${x}", {x = evil})
    same(evil .. "!", '${"${x}!"}', {x = evil})
  end)
end)

describe("template: secrets", function()
  it("mark the result as secret wherever they go", function()
    local s = {s = secret.of("hunter2"), n = 1}
    for _, text in ipairs {"${s}", "${s | upper}", '${"x${s}"}', "%{ if s == \"a\" }b%{ endif }",
                           "${[s] | join(\",\")}", "${{a = s} | json}", "${s == \"x\" ? 1 : 2}"} do
      local result, is_secret = template.render(text, s)
      assert.is_string(result)
      assert.is_true(is_secret, text)
    end
    assert.is_false(select(2, template.render("${n}", s)))
    assert.are.equal("hunter2", (template.render("${s}", s)))
  end)

  it("are never in the text of an error", function()
    local s = {s = secret.of("hunter2"), x = {}}
    s.v = values.view(function(key) return nil, {message = "no " .. key} end,
      function() return {} end)
    for _, text in ipairs {"${s | number}", "${s | bool}", "${s.field}", "${s + 1}", "${s < 1}",
      "${-s}",
                           "${x[s]}", "${x[s | upper]}", "${s[s | lower]}", "${v[s]}",
                             "${s | nofilter}", "%{ for a in s }%{ endfor }", "${s | sort}",
                           "${1 | required(s)}${null | required(s)}", "${s | port}",
                             "${x | join(s)}${nope}"} do
      assert.is_nil(problem(text, s).message:find("hunter2", 1, true), text)
    end
  end)

  it("that cannot be had are an error at their place", function()
    local scope = {
      get = function() return secret.new {env = "NO_SUCH_VARIABLE"} end,
      reveal = function() return nil, "NO_SUCH_VARIABLE is not set" end,
    }
    local err = problem("a ${b}", scope)
    assert.are.equal("template:1:5: NO_SUCH_VARIABLE is not set", err.message:match("^[^\n]*"))
  end)
end)

describe("template: values that are not known yet", function()
  local scope = {get = function(_, name)
    if name == "known" then return "k" end
    return nil, {message = name .. " is not known yet", pending = true}
  end}

  it("make the error pending", function()
    assert.is_true(problem("${did}", scope).pending)
    assert.is_false(problem("${known.x}", scope).pending)
  end)

  it("can be stood in for with later", function()
    local text, _, _, later = template.render('${known}${did | later("soon")}', scope)
    assert.are.equal("ksoon", text)
    assert.are.same({"did is not known yet"}, later)
    assert.are.equal("k", render('${known | later("soon")}', scope))
    assert.matches("later needs", problem("${known | later}", scope).summary)
  end)
end)

describe("template: value()", function()
  it("keeps the type of a lone sequence", function()
    assert.are.equal(3, (template.value("${x}", {x = 3})))
    assert.are.equal("3", (template.value("${x} ", {x = 3}):sub(1, 1)))
    assert.are.same({1}, (template.value("${x}", {x = {1}})))
  end)
end)

-- A small grammar of templates, most of them wrong somewhere.
local function generator(seed)
  local state = seed
  local function pick(n)
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return (state >> 8) % n + 1
  end
  local words = {"x", "s", "m", "l", "nope", "1", "0", "2.5", '"t"', '"a${x}b"', "null", "true",
    "m.a",
    "l[0]", "(", ")", "[", "]", "{", "}", "~", "!", "-", "+", "*", "/", "%", "==", "<", "&&", "||",
      "?",
    ":", "|", "| upper", "| json", "| length", "join(l)", ",", ".", "=", "\"", "\\", "\n", "#",
      "//",
    "for", "in", "if", "é", "\0", "\255"}
  local sequences = {"${", "}", "%{ if ", "%{ else }", "%{ endif }", "%{ for v in ",
    "%{ endfor ~}", "$${",
    "text ", "\n", "${~ ", " ~}", "%{"}
  return function()
    local parts = {}
    for i = 1, pick(24) do
      local from = pick(3) == 1 and sequences or words
      parts[i] = from[pick(#from)] .. (pick(2) == 1 and " " or "")
    end
    return table.concat(parts)
  end
end

describe("template: any text at all", function()
  it("renders or fails with a structured error that has a place", function()
    local next_text = generator(20240611)
    local scope = {x = "a\nb", s = secret.of("hunter2"), m = {a = 1, b = {2}}, l = {1, "two", {3}}}
    local rendered, failed = 0, 0
    for _ = 1, 20000 do
      local text = next_text()
      local ok, result, err = pcall(template.render, text, scope)
      assert(ok, ("%q raised %s"):format(text, tostring(result)))
      if result then
        rendered = rendered + 1
      else
        failed = failed + 1
        assert(errors.is(err) and err.line >= 1 and err.column >= 1, text)
        assert(not err.message:find("hunter2", 1, true), text)
      end
    end
    assert.is_true(rendered > 100 and failed > 1000)
  end)
end)
