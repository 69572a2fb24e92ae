local ui = require "orrery.cli.ui"

return {
  name = "schema",
  group = "prepare",
  summary = "print the JSON Schema of a stack file, for editors",
  details = "An editor with a YAML or JSON language server completes and checks a stack file by "
    .. "it. In a YAML file the first line may name it: "
    .. "`# yaml-language-server: $schema=./orrery.schema.json`.",
  exits = {"0    printed", "2    wrong usage"},
  example = "orrery schema > orrery.schema.json",
  run = function() ui.json(require("orrery.json_schema").stack()) end,
}
