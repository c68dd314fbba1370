-- Tasks, groups, errors, the places where nothing can wait, and channels.

local hawser = require "hawser"
local t = require "harness"
local errno = hawser.errno

local pack = table.pack or function(...) return { n = select("#", ...), ... } end

-- What a child of this interpreter prints and how it exits: the status as the shell has it.
local arguments = rawget(_G, "arg")
local interpreter = arguments[-1]
local function child(script)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(script)
  file:close()
  local pipe = assert(io.popen(("%s %s 2>&1; echo status $?"):format(interpreter, name)))
  local output = pipe:read("*a")
  pipe:close()
  os.remove(name)
  local text, code = output:match("^(.-)status (%d+)%s*$")
  return tonumber(code), text
end

t.task("spawn, join and status", function()
  local seen = {}
  local task = hawser.spawn(function(...)
    seen[1] = pack(...)
    hawser.yield()
    return "a", nil, "c", nil
  end, 1, nil, 3)
  t.eq(task:status(), "queued")
  t.eq(seen[1], nil)
  hawser.yield()
  t.eq(task:status(), "waiting")
  local results = pack(task:join())
  t.eq(task:status(), "done")
  t.eq(results.n, 5)
  t.eq(results[1], true)
  t.eq(results[2], "a")
  t.eq(results[3], nil)
  t.eq(results[4], "c")
  t.eq(seen[1].n, 3)
  t.eq(seen[1][3], 3)
  t.eq(pack(task:join()).n, 5)  -- as often as one likes
  t.ok(tostring(task):find "hawser.task %(done%)")
end)

t.task("tasks run in the order in which they were spawned", function()
  local order = {}
  local tasks = {}
  for i = 1, 100 do
    tasks[i] = hawser.spawn(function()
      order[#order + 1] = i
      hawser.yield()
      order[#order + 1] = i
    end)
  end
  for i = 1, 100 do tasks[i]:join() end
  for i = 1, 200 do t.eq(order[i], (i - 1) % 100 + 1) end
end)

t.task("current", function()
  local own = hawser.current()
  t.eq(own:status(), "running")
  local other
  local task = hawser.spawn(function() other = hawser.current():thread() end)
  task:join()
  t.eq(other, task:thread())
  t.raises("its own end", own.join, own)
  t.eq(own:is_stopped(), false)
end)
t.test("no task is current outside of a task", function() t.eq(hawser.current(), nil) end)

t.test("run ends when all that was spawned has ended", function()
  local ended = 0
  local function spawn(depth)
    if depth == 0 then return end
    hawser.spawn(function()
      for _ = 1, 3 do hawser.yield() end
      spawn(depth - 1)
      ended = ended + 1
    end)
  end
  t.eq(hawser.run(function()
    spawn(20)
    return "early"
  end), "early")
  t.eq(ended, 20)
end)

t.test("many results and arguments", function()
  local unpack = table.unpack or unpack
  local many = {}
  for i = 1, 200 do many[i] = i end
  local got = pack(hawser.run(function(...)
    local _, inner = 0, pack(hawser.spawn(function(...) return ... end, ...):join())
    return unpack(inner, 2, inner.n)
  end, unpack(many)))
  t.eq(got.n, 200)
  t.eq(got[200], 200)
end)

-- Errors.

local function three(f) return (function() return (function() f() end)() end)() end

t.test("the traceback of an error shows where it was raised", function()
  local function deepest()
    hawser.yield()
    error("at the bottom")
  end
  local function middle()
    hawser.yield()
    deepest()
    return 1
  end
  for name, through in pairs {
    plain = function(f) f() end,
    wrap = function(f) hawser.wrap(function() hawser.yield() f() end)() end,
    pcall = function(f)
      local ok, err = xpcall(f, require("hawser.core").note)
      if not ok then error(err, 0) end
    end,
    scope = function(f) hawser.scope(f) end,
    with_timeout = function(f) hawser.with_timeout(10, f) end,
  } do
    local message = t.raises("at the bottom", hawser.run, function()
      hawser.yield()
      through(middle)
    end)
    t.ok(message:find "deepest", name .. ": " .. message)
    t.ok(message:find(("tasks_test.lua:%d:"):format(debug.getinfo(middle, "S").linedefined + 2), 1, true), name .. ": " .. message)
  end
end)

t.task("pcall holds across operations", function()
  local ok, err = pcall(function()
    hawser.yield()
    error({ code = 7 })
  end)
  t.eq(ok, false)
  t.eq(err.code, 7)
  ok, err = pcall(function() return pcall(hawser.sleep, 0) end)
  t.eq(ok, true)
  t.eq(err, true)
end)

t.test("errors that are no strings", function()
  local object = setmetatable({}, { __tostring = function() return "object" end })
  for _, value in ipairs { object, false, 12 } do
    local ok, err = pcall(hawser.run, function() three(function() error(value, 0) end) end)
    t.eq(ok, false)
    t.eq(err, value)
  end
  local ok, err = pcall(hawser.run, function() error(nil) end)
  t.eq(ok, false)
  t.ok(err == nil or tostring(err):find "nil", err)
  hawser.run(function()
    local group = hawser.group(true)
    local task = group:spawn(function() error(object, 0) end)
    local nothing, got, trace = task:join()
    t.eq(nothing, nil)
    t.eq(got, object)
    t.ok(trace:find "traceback")
    t.eq(select(2, group:join()), object)
  end)
end)

t.test("an error stops its group and nothing else", function()
  local log = {}
  hawser.run(function()
    local bad, good = hawser.group(true), hawser.group()
    local survivor = good:spawn(function()
      hawser.sleep(0.02)
      log.survivor = true
    end)
    local sibling = bad:spawn(function() log.sibling = select(3, hawser.sleep(100)) end)
    local failing = bad:spawn(function()
      hawser.yield()
      error("first")
    end)
    local second = bad:spawn(function()
      hawser.sleep(100)
      error("second")
    end)
    local nothing, err, trace = bad:join()
    t.eq(nothing, nil)
    t.ok(err:find "first")
    t.ok(trace:find "traceback")
    t.eq(failing:status(), "failed")
    t.eq(sibling:status(), "done")
    t.ok(second:status() ~= "done")
    t.eq(log.sibling, errno.ECANCELED)
    survivor:join()
    t.eq(good:join(), true)
  end)
  t.eq(log.survivor, true)
end)

t.test("run raises the first error after all have ended", function()
  local ended
  t.raises("the first", hawser.run, function()
    hawser.spawn(function()
      hawser.sleep(100)
      hawser.yield()
      ended = true
    end)
    hawser.yield()
    hawser.spawn(function() error("the first") end)
    hawser.sleep(100)
    error("a consequence")
  end)
  t.eq(ended, true)
  t.eq(hawser.run(function() return hawser.sleep(0) end), true)
end)

t.test("run works again after errors of all kinds", function()
  for _ = 1, 20 do
    pcall(hawser.run, function() error("x") end)
    pcall(hawser.run, function() hawser.channel():receive() end)
    pcall(hawser.run)
    pcall(hawser.run, 1)
    t.eq(hawser.run(function() return select("#", hawser.spawn(hawser.yield):join()) end), 2)
  end
end)

t.task("run inside of a task raises", function()
  t.raises("inside a task", hawser.run, function() end)
  t.raises("inside a task", hawser.wrap(function() hawser.run(function() end) end))
end)

t.test("arguments that are wrong", function()
  t.raises("function expected", hawser.run)
  t.raises("function expected", hawser.spawn, 1)
  t.raises("function expected", hawser.group().spawn, hawser.group())
  t.raises("number expected", hawser.sleep, "x")
  t.raises("not negative", hawser.sleep, -1)
  t.raises("not negative", hawser.sleep, 0 / 0)
end)

-- Groups and scopes.

t.task("a group counts its tasks", function()
  local group = hawser.group()
  t.eq(#group, 0)
  t.eq(group:join(), true)
  local gate = hawser.channel()
  for _ = 1, 5 do group:spawn(function() gate:receive() end) end
  t.eq(#group, 5)
  for _ = 1, 5 do gate:send(1) end
  t.eq(group:join(), true)
  t.eq(#group, 0)
  group:spawn(function() end)
  t.eq(group:join(), true)
end)

t.task("join with a time limit", function()
  local group = hawser.group()
  local gate = hawser.channel()
  local task = group:spawn(function() return gate:receive() end)
  local joined, message, number = group:join(0.01)
  t.eq(joined, nil)
  t.eq(message, "timed out")
  t.eq(number, errno.ETIMEDOUT)
  t.eq(task:status(), "waiting")
  gate:send("go")
  t.eq(group:join(10), true)
end)

t.task("a task cannot join its own group", function()
  local group = hawser.group()
  local task = group:spawn(function() group:join() end)
  t.ok(select(2, task:join()):find "of which it is a part")
end)

t.task("a scope waits for its tasks and gives what its function gives", function()
  local log = {}
  local a, b, c = hawser.scope(function(group, x)
    group:spawn(function()
      hawser.yield()
      hawser.yield()
      log[1] = "child"
    end)
    return x, nil, "c"
  end, "a")
  t.eq(log[1], "child")
  t.eq(a, "a")
  t.eq(b, nil)
  t.eq(c, "c")
end)

t.task("an error in a scope stops what it spawned, and a child's error its function", function()
  local cut
  t.raises("in the scope", hawser.scope, function(group)
    group:spawn(function() cut = select(3, hawser.sleep(100)) end)
    hawser.yield()
    error("in the scope")
  end)
  t.eq(cut, errno.ECANCELED)
  cut = nil
  t.raises("in a child", hawser.scope, function(group)
    group:spawn(function() error("in a child") end)
    cut = select(3, hawser.sleep(100))
  end)
  t.eq(cut, errno.ECANCELED)
  t.eq(hawser.sleep(0), true)  -- the task goes on
end)

t.task("scopes inside of scopes", function()
  local log = {}
  t.raises("outer", hawser.scope, function(outer)
    outer:spawn(function()
      hawser.yield()
      hawser.yield()
      error("outer")
    end)
    hawser.scope(function(inner)
      inner:spawn(function() log[1] = select(3, hawser.sleep(100)) end)
      log[2] = select(3, hawser.sleep(100))
    end)
    log[3] = select(3, hawser.sleep(100))
  end)
  for i = 1, 3 do t.eq(log[i], errno.ECANCELED) end
end)

-- Where nothing can wait.

t.task("inside of C functions that call back", function()
  local function sleep() hawser.sleep(0) end
  local cases = {
    sort = function() table.sort({ 3, 1, 2 }, function(a, b) sleep() return a < b end) end,
    gsub = function() ("x"):gsub("x", sleep) end,
    load = function()
      local read = pcall(load, sleep)
      if read ~= nil then error(select(2, load(sleep)), 0) end
    end,
  }
  -- LuaJIT can wait in metamethods; Lua 5.4 in those that are no C calls.
  for name, f in pairs(cases) do
    local message = t.raises("sleep has to wait, inside a C function", f)
    t.ok(message:find "table.sort" and message:find "before or after", name .. ": " .. message)
  end
  -- Nor in a generator inside of them, however deep.
  t.raises("sleep has to wait", function()
    table.sort({ 3, 1, 2 }, function(a, b)
      hawser.wrap(function() hawser.wrap(sleep)() end)()
      return a < b
    end)
  end)
  t.eq(hawser.current():status(), "running")
  t.eq(setmetatable({}, { __index = function() return hawser.sleep(0) end }).anything, true)
end)

t.task("while a module is loaded", function()
  package.preload["hawser.test.waits"] = function() return { slept = hawser.sleep(0) } end
  t.raises("require", require, "hawser.test.waits")
  package.preload["hawser.test.waits"] = nil
end)
t.test("while a module is loaded, outside of a task", function()
  package.preload["hawser.test.waits_outside"] = function() return { slept = hawser.sleep(0) } end
  t.eq(require("hawser.test.waits_outside").slept, true)
  package.preload["hawser.test.waits_outside"], package.loaded["hawser.test.waits_outside"] = nil, nil
end)

t.task("coroutines that are not hawser's", function()
  local advice = "hawser.wrap"
  t.raises(advice, coroutine.wrap(function() hawser.sleep(0) end))
  local ok, err = coroutine.resume(coroutine.create(function() hawser.sleep(0) end))
  t.eq(ok, false)
  t.ok(err:find(advice), err)
  -- Nor may one of them be below one that is.
  t.raises(advice, coroutine.wrap(function() return hawser.wrap(function() return hawser.sleep(0) end)() end))
  t.raises(advice, hawser.wrap(function() return coroutine.wrap(function() return hawser.sleep(0) end)() end))
  t.eq(hawser.sleep(0), true)
end)
t.test("coroutines outside of tasks run the loop", function()
  t.eq(coroutine.wrap(function() return hawser.sleep(0) end)(), true)
  t.eq(hawser.wrap(function() return hawser.sleep(0) end)(), true)
end)

t.task("generators", function()
  local function count(n, depth)
    return hawser.wrap(function()
      if depth == 0 then
        for i = 1, n do
          hawser.yield()
          coroutine.yield(i, nil, -i)
        end
      else
        for i, _, j in count(n, depth - 1) do
          hawser.sleep(0)
          hawser.coroutine.yield(i, nil, j)
        end
      end
    end)
  end
  local seen = 0
  for i, _, j in count(10, 3) do
    seen = seen + 1
    t.eq(i, seen)
    t.eq(j, -seen)
  end
  t.eq(seen, 10)
  local co = hawser.coroutine.create(function(a)
    local b = hawser.coroutine.yield(a + hawser.spawn(function() return 1 end):thread() and 1)
    hawser.yield()
    error("inside " .. b)
  end)
  local ok, value = pcall(hawser.coroutine.resume, co, 1)
  t.ok(ok == true and value == false or value == true)
end)

t.task("a generator that fails or ends", function()
  local co = hawser.coroutine.create(function(a)
    hawser.yield()
    local b = coroutine.yield(a)
    hawser.yield()
    error("inside " .. b)
  end)
  local ok, value = hawser.coroutine.resume(co, "first")
  t.eq(ok, true)
  t.eq(value, "first")
  ok, value = hawser.coroutine.resume(co, "second")
  t.eq(ok, false)
  t.ok(value:find "inside second")
  ok, value = hawser.coroutine.resume(co)
  t.eq(ok, false)
  t.ok(value:find "dead")
  local own = hawser.wrap(function() return hawser.coroutine.resume(coroutine.running()) end)
  t.eq(own(), false)
end)

t.task("a generator that is used by two tasks", function()
  local generator = hawser.wrap(function()
    while true do
      hawser.sleep(0.001)
      coroutine.yield("value")
    end
  end)
  local first = hawser.spawn(function() return generator() end)
  hawser.yield()
  t.raises("another task uses it", generator)
  t.eq(select(2, first:join()), "value")
  t.eq(generator(), "value")
end)

t.task("coroutine.yield in a task", function()
  local order = {}
  local task = hawser.spawn(function()
    order[#order + 1] = 1
    coroutine.yield()
    order[#order + 1] = 3
  end)
  hawser.yield()
  order[#order + 1] = 2
  task:join()
  t.eq(table.concat(order), "123")
  local failing = hawser.group(true):spawn(function() coroutine.yield("value") end)
  t.ok(select(2, failing:join()):find "hawser.channel")
end)

t.task("somebody else's coroutine", function()
  local gate = hawser.channel()
  local function waits() return gate:receive() end
  local detached = hawser.group(true)
  -- One that waits.
  local task = detached:spawn(waits)
  hawser.yield()
  coroutine.resume(task:thread(), "not a value")
  gate:try_send("value")
  t.eq(select(3, task:join()), errno.ECANCELED)
  -- One that waits, inside of a generator.
  local inner
  task = detached:spawn(function()
    inner = hawser.coroutine.create(function()
      waits()
      return waits()
    end)
    return hawser.coroutine.resume(inner)
  end)
  hawser.yield()
  coroutine.resume(inner)
  gate:try_send("value")
  t.eq(task:join(), true)
  -- One that has not begun, with and without arguments; and one that then yields.
  for _, f in ipairs { function() end, function() coroutine.yield(1) end, function() coroutine.yield() end } do
    for n = 0, 5 do
      task = detached:spawn(f, (table.unpack or unpack)({ 1, 2, 3, 4, 5 }, 1, n))
      coroutine.resume(task:thread())
      t.eq(select(3, task:join()), errno.ECANCELED)
    end
  end
  -- One that has ended: its results are still there, or are missed.
  task = detached:spawn(function() return 1, 2, 3, print end)
  hawser.yield()
  pcall(coroutine.resume, task:thread())
  if coroutine.close then coroutine.close(task:thread()) end
  local joined, message = task:join()
  t.ok(joined == true or type(message) == "string")
  -- The own one.
  t.eq(coroutine.resume(hawser.current():thread()), false)
  if not coroutine.close then return end
  for _, early in ipairs { true, false } do
    task = detached:spawn(waits)
    if not early then hawser.yield() end
    t.eq(coroutine.close(task:thread()), true)
    gate:try_send("value")
    t.eq(select(3, task:join()), errno.ECANCELED)
  end
end)

t.test("operations in finalizers", function()
  local messages = {}
  local function finalized(f)
    if t.jit then
      getmetatable(newproxy(true)).__gc = f
    else
      setmetatable({}, { __gc = f })
    end
  end
  local function try()
    local ok, err = pcall(hawser.sleep, 0)
    messages[#messages + 1] = ok and "slept" or err
    hawser.spawn(function() messages.spawned = hawser.sleep(0) end)
  end
  hawser.run(function()
    finalized(try)
    collectgarbage()
    collectgarbage()
    t.ok(messages[1]:find "sleep has to wait", messages[1])
    hawser.yield()
    hawser.yield()
    hawser.yield()
  end)
  t.eq(messages.spawned, true)
end)

-- Deadlocks.

t.test("tasks that wait for each other", function()
  local log
  t.raises("wait for each other", hawser.run, function()
    local a, b = hawser.channel(), hawser.channel()
    hawser.spawn(function() log = select(3, a:receive()) end)
    b:receive()
  end)
  t.eq(log, errno.ECANCELED)
  t.raises("wait for ever", function() hawser.channel():receive() end)
  local task = hawser.spawn(function() return hawser.channel():receive() end)
  t.raises("wait for ever", task.join, task)
  t.eq(hawser.sleep(0), true)
  -- Somebody still holds the other end of these.
  local door = hawser.tcp.listen("127.0.0.1", 0)
  t.eq(select(3, hawser.with_timeout(0.01, door.accept, door)), errno.ETIMEDOUT)
end)

-- The end of the process.

local pair = [[
  local hawser = require "hawser"
  local t = require "harness"
  io.stdout:setvbuf("no")
]]

t.test("os.exit inside of a task", function()
  for _, how in ipairs { "7, true", "7" } do
    local code, text = child(pair .. [[
      hawser.run(function()
        local near, far = t.pair()
        hawser.spawn(function() near:read("l") end)
        hawser.spawn(function() hawser.sleep(100) end)
        hawser.yield()
        hawser.wrap(function() os.exit(]] .. how .. [[) end)()
      end)
    ]])
    -- Without `true` the state stays open, and with it what a leak checker finds.
    t.ok(code == 7 or how == "7" and text:find "LeakSanitizer", text)
  end
end)

t.test("a script that ends with tasks and streams left over", function()
  local code, text = child(pair .. [[
    local near, far = t.pair()
    local door = hawser.tcp.listen("127.0.0.1", 0)
    KEPT = hawser.channel()
    hawser.spawn(function() near:read("l") end)
    hawser.spawn(function() door:accept() end)
    hawser.spawn(function() hawser.sleep(100) end)
    hawser.spawn(function() KEPT:receive() end)
    hawser.spawn(function() hawser.with_timeout(100, hawser.sleep, 100) end)
    hawser.spawn(function() error("never runs") end)
    hawser.sleep(0)
    hawser.spawn(function() never_begins() end)
    print "end"
  ]])
  t.eq(code, 0, text)
  t.ok(text:find "end", text)
end)

t.test("a script that ends with an error", function()
  local code, text = child(pair .. [[
    hawser.run(function()
      hawser.spawn(function() hawser.sleep(100) end)
      error({})
    end)
  ]])
  t.eq(code, 1, text)
end)

t.test("an error for which nobody waits is reported", function()
  local code, text = child(pair .. [[
    hawser.spawn(function() error("unheard") end)
    hawser.sleep(0.01)
    hawser.on_error(function(err, trace) print("handler: " .. tostring(err), trace:match("traceback")) end)
    hawser.spawn(function() error("heard") end)
    hawser.sleep(0.01)
    local task = hawser.spawn(function() error("joined") end)
    print("join:", select(2, task:join()))
  ]])
  t.eq(code, 0, text)
  t.ok(text:find "a task failed: .-unheard", text)
  t.ok(text:find "handler: .-heard\ttraceback", text)
  t.ok(text:find "join:.-joined", text)
  t.ok(not text:find "handler: [^\n]*joined", text)
end)

-- Channels.

t.task("a channel keeps the order", function()
  for _, capacity in ipairs { 0, 1, 3, 100 } do
    local channel = hawser.channel(capacity)
    local sent = hawser.spawn(function()
      for i = 1, 50 do t.eq(channel:send(i), true) end
      channel:close()
    end)
    for i = 1, 50 do t.eq(channel:receive(), i) end
    local value, message, number = channel:receive()
    t.eq(value, nil)
    t.eq(type(message), "string")
    t.eq(number, errno.EPIPE)
    t.ok(sent:join())
  end
end)

t.task("a channel without room hands over", function()
  local channel = hawser.channel()
  local log = {}
  local sender = hawser.spawn(function()
    channel:send("value")
    log[#log + 1] = "sent"
  end)
  hawser.yield()
  t.eq(#log, 0)
  t.eq(#channel, 0)
  t.eq(channel:receive(), "value")
  sender:join()
  t.eq(#log, 1)
  t.eq(channel:try_send("x"), false)
  t.eq(channel:try_receive(), nil)
end)

t.task("a channel that is closed", function()
  local channel = hawser.channel(2)
  channel:send("kept")
  local receiver = hawser.channel()
  local waits = hawser.spawn(function() return receiver:receive() end)
  local full = hawser.channel()
  local stuck = hawser.spawn(function() return full:send(1) end)
  hawser.yield()
  channel:close()
  channel:close()
  receiver:close()
  full:close()
  t.eq(channel:is_closed(), true)
  t.eq(select(3, channel:send("more")), errno.EBADF)
  t.eq(channel:try_send("more"), false)
  t.eq(#channel, 1)
  t.eq(channel:receive(), "kept")
  t.eq(select(3, channel:receive()), errno.EPIPE)
  t.eq(select(4, waits:join()), errno.EPIPE)
  t.eq(select(2, stuck:join()), nil)
end)

t.task("many producers and consumers", function()
  local channel, sum, count = hawser.channel(7), 0, 0
  local producers, consumers = hawser.group(), hawser.group()
  for p = 1, 20 do
    producers:spawn(function()
      for i = 1, 50 do
        channel:send(p * 1000 + i)
        if i % 7 == 0 then hawser.yield() end
      end
    end)
  end
  for _ = 1, 13 do
    consumers:spawn(function()
      while true do
        local value = channel:receive()
        if not value then break end
        sum, count = sum + value, count + 1
      end
    end)
  end
  producers:join()
  channel:close()
  consumers:join()
  t.eq(count, 1000)
  t.eq(sum, 50 * 1000 * 210 + 20 * 1275)
end)

t.task("values of all kinds but nil", function()
  local channel = hawser.channel(10)
  local near, far = t.pair()
  for _, value in ipairs { false, print, near, channel, {}, "", 0, hawser.current() } do
    channel:send(value)
    t.eq(channel:receive(), value)
  end
  t.raises("not nil", channel.send, channel, nil)
  t.raises("not nil", channel.send, channel)
  t.raises("not nil", channel.try_send, channel, nil)
  channel:send(far)
  far = nil -- luacheck: ignore
  collectgarbage()
  near:write("kept by the channel\n")
  t.eq(channel:receive():read("l"), "kept by the channel")
  t.raises("values", hawser.channel, -1)
  t.raises("values", hawser.channel, 1e9)
  t.raises("number expected", hawser.channel, "x")
end)

t.task("channels and groups that nobody holds any more", function()
  local weak = setmetatable({}, { __mode = "v" })
  local group = hawser.group()
  for i = 1, 20 do
    local channel = hawser.channel(i % 3)
    weak[i] = channel
    group:spawn(function()
      local own = channel
      channel = nil
      if i % 2 == 0 then return own:receive() end
      for _ = 1, 5 do if not own:send("value") then return end end
    end)
  end
  hawser.group():spawn(function() hawser.sleep(0) end)
  hawser.spawn(function() hawser.sleep(0) end)
  hawser.yield()
  for _ = 1, 5 do
    collectgarbage()
    hawser.yield()
  end
  group:cancel()
  group:join()
  collectgarbage()
  collectgarbage()
  t.eq(next(weak), nil)
end)

t.done()
