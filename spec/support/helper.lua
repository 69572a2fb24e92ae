-- helper -- loaded once, before any spec file.
--
-- busted forgets the modules a spec file has loaded when the file ends. The engine must not be
-- loaded anew for each file: one engine, one loop, one guard for the whole run.
require "orrery.core"
