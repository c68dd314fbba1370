-- What threads of copas cost by themselves. The copas of Debian has neither yield nor sleep nor channels.

package.path = package.path .. ";/usr/share/lua/5.2/?.lua;/usr/share/lua/5.1/?.lua"

local support = require "support"
local copas = support.need("copas", "lua-copas")

local function nothing() end

support.measure({
  { "spawn and finish", 50000, function(count)
    for _ = 1, count do copas.addthread(nothing) end
  end },
}, arg)
