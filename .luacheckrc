std = "lua54"
max_line_length = 100
files["spec"] = { std = "lua54+busted" }
exclude_files = { "build", "build-*", "**/node_modules" }
-- A meta file declares functions that it does not define, for the editor only.
-- Its classes are tables that only gather methods (241).
files["lua/meta"] = { unused_args = false, ignore = { "241" } }
-- Written by `make docs`: a field with its type is one line.
files["lua/meta/stacktypes.lua"] = { max_line_length = false }
-- Declares what stack files may call.
files["lua/meta/stackfile.lua"] = { globals = { "secret", "env" }, max_line_length = false }
