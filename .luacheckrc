std = "lua54"
max_line_length = 100
files["spec"] = { std = "lua54+busted" }
exclude_files = { "build", "build-*", "**/node_modules" }
-- A meta file declares functions that it does not define, for the editor only.
-- Its classes are tables that only gather methods (241).
files["lua/meta"] = { unused_args = false, ignore = { "241" } }
