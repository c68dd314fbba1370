-- What coroutines of cqueues cost by themselves. It has no channels.

local support = require "support"
local cqueues = support.need("cqueues", "lua-cqueues")

local function nothing() end

local function run(fill)
  local loop = cqueues.new()
  fill(loop)
  assert(loop:loop())
end

local function spawn(count)
  for _ = 1, count / 100 do
    run(function(loop)
      for _ = 1, 100 do loop:wrap(nothing) end
    end)
  end
end

local function yield(count)
  for _ = 1, count do cqueues.poll() end
end

local function sleep(count)
  for _ = 1, count do cqueues.sleep(0) end
end

local function alone(f)
  return function(count)
    run(function(loop) loop:wrap(f, count) end)
  end
end

local function yield_among_100(count)
  run(function(loop)
    for _ = 1, 100 do loop:wrap(yield, count / 100) end
  end)
end

support.measure({
  { "spawn and finish", 50000, spawn },
  { "yield, 1 task", 20000, alone(yield) },
  { "yield, 100 tasks", 20000, yield_among_100 },
  { "sleep(0)", 20000, alone(sleep) },
}, arg)
