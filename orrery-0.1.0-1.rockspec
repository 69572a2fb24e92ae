-- For `luarocks make` in a clone: the Lua module with all that it needs, and the program in libexec.
-- The C libraries are found by pkg-config, which says what is missing.
rockspec_format = "3.0"
package = "orrery"
version = "0.1.0-1"
source = { url = "." }
description = {
  summary = "Brings up, wires together and keeps healthy the services of an ATproto deployment",
  license = "MIT",
}
dependencies = { "lua ~> 5.4" }
build = {
  type = "cmake",
  variables = {
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    CMAKE_INSTALL_BINDIR = "libexec", -- the program finds its files beside itself, so it stays there
    CMAKE_INSTALL_LIBDIR = "libexec",
    ORRERY_MODULES = "$(LUADIR)",
    ORRERY_CMODULES = "$(LIBDIR)",
  },
}
