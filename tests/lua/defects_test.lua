-- Mistakes that Lua bindings to TLS and to event loops have made, and that this one is without. The numbers say which cases
-- belong to one mistake.

local hawser = require "hawser"
local compat = require "hawser.compat"
local t = require "harness"
local errno = hawser.errno
local nfl = compat.nfl
local certs = assert(t.certificates, "HAWSER_CERTS is not set")
local trust = { ca_file = certs .. "/ca.pem" }
local own = { cert_file = certs .. "/server.pem", key_file = certs .. "/server.key" }

local logged = {}
compat.syslog.sink(function(level, message) logged[#logged + 1] = level .. ": " .. message end)

-- f(make_pair) over TCP and over TLS.
local function both(name, f)
  t.task(name .. ", TCP", function() f(t.pair) end)
  t.task(name .. ", TLS", function() f(t.tls_pair) end)
end

-- Lets everything run that can.
local function settle()
  for _ = 1, 20 do hawser.yield() end
end

local function collect()
  collectgarbage()
  collectgarbage()
end

-- Lets go of both without a farewell, for which each would wait.
local function drop(near, far)
  near:abort()
  far:abort()
end

-- Two ends of a connection, and a function that resets the first one: its peer goes away with bytes of it unread, which the
-- kernel answers with RST. The TLS stream has a relay for its peer, as its own peer would have read them.
local function resettable_pair()
  local near, far = t.pair()
  return near, far, function()
    near:write("nobody reads this")
    far:abort()
  end
end

local function resettable_tls_pair()
  local near, relay = t.pair()
  local far, other = t.pair()
  local function copy(from, to)
    return hawser.spawn(function()
      while true do
        local piece = from:read("b")
        if not piece or not to:write(piece) then return end
      end
    end)
  end
  local there, back = copy(relay, other), copy(other, relay)
  local secure
  local server = hawser.spawn(function() secure = t.ok(hawser.tls.accept(far, hawser.tls.server_config(own))) end)
  near = t.ok(hawser.tls.handshake(near, "localhost", trust))
  server:join()
  return near, secure, function()
    settle()
    there:cancel()
    back:cancel()
    there:join()
    back:join()
    near:write(("nobody reads this "):rep(20000))
    relay:abort()
    other:abort()
    secure:abort()
  end
end

both("row 1: a stream outlives the coroutine that has connected it", function(make)
  local near, far
  do
    local task = hawser.spawn(function()
      local made = hawser.wrap(function() near, far = make() end)
      made()
    end)
    task:join()
  end
  collect()
  for i = 1, 50 do
    -- Each from a coroutine of its own, which is gone before the next.
    hawser.spawn(function() near:write("line ", i, "\n") end):join()
    local line
    hawser.spawn(function() line = far:read("l") end):join()
    t.eq(line, "line " .. i)
    if i % 10 == 0 then collect() end
  end
  hawser.spawn(near.close, near)
  t.eq(far:read("a"), "")
  far:close()
end)

both("row 2: Lua errors around its operations leave a stream whole", function(make)
  local near, far = make()
  far:write("one\n")
  t.raises("thrown", function()
    for line in near:lines() do error("thrown at " .. line) end
  end)
  -- A task that fails while it waits in a read of this stream, because another failed.
  local ok, err = pcall(hawser.scope, function(group)
    group:spawn(function() assert(near:read("l")) end)
    group:spawn(function()
      hawser.yield()
      error("thrown by another")
    end)
  end)
  t.eq(ok, false)
  t.ok(tostring(err):find("thrown by another"), err)
  far:write("two\n", ("x"):rep(50000), "\n")
  t.eq(near:read("l"), "two")
  t.eq(#near:read("l"), 50000)
  drop(near, far)
end)

both("row 3: one read of thousands of records", function(make)
  local near, far = make()
  local count = 5000
  hawser.spawn(function()
    for i = 1, count do far:write(string.char(i % 256)) end
    far:close()
  end)
  local all = near:read(count)
  t.eq(#all, count)
  for i = 1, count do
    if all:byte(i) ~= i % 256 then error("byte " .. i) end
  end
  t.eq(near:read("a"), "")
  near:close()
end)

both("row 4: a stream goes from one task to another", function(make)
  local near, far = make()
  local box, lines = hawser.channel(), {}
  local second = hawser.spawn(function()
    local line = box:receive()
    lines[2] = line:read("l")
    line:abort()
  end)
  hawser.spawn(function()
    lines[1] = near:read("l")
    box:send(near)
  end)
  far:write("one\ntwo\n")
  second:join()
  t.eq(lines[1], "one")
  t.eq(lines[2], "two")
  far:close()
end)

both("row 4: one task reads while another writes", function(make)
  local near, far = make()
  local size = 4 * 1024 * 1024
  local function exchange(line, letter, other)
    hawser.spawn(function()
      line:write(letter:rep(size))
      line:shutdown()
    end)
    return hawser.spawn(function() t.eq(line:read("a"), other:rep(size)) end)
  end
  local a, b = exchange(near, "a", "b"), exchange(far, "b", "a")
  t.ok(a:join())
  t.ok(b:join())
  drop(near, far)
end)

both("row 4: a second reader is told so, and the first one served", function(make)
  local near, far = make()
  local line
  local first = hawser.spawn(function() line = near:read("l") end)
  hawser.yield()
  local second, message, number = near:read("l")
  t.eq(second, nil)
  t.ok(message:find("another task reads"), message)
  t.eq(number, errno.EBUSY)
  far:write("for the first\n")
  first:join()
  t.eq(line, "for the first")
  drop(near, far)
end)

for _, kind in ipairs { "TCP", "TLS" } do
  t.test("row 5: wakeups and timers take no data away, " .. kind, function()
    local make = kind == "TCP" and t.pair or t.tls_pair
    local a, far_a = make()
    local b, far_b = make()
    local lines, count = {}, 200
    local reader = nfl.spawn(function()
      for _ = 1, count do
        nfl.timeout(60)
        lines[#lines + 1] = a:read("l")
        lines[#lines + 1] = b:read("l")
        nfl.timeout(0)
      end
      a:close()
      b:close()
    end)
    nfl.spawn(function()
      for i = 1, count do
        nfl.schedule(reader, "no data")
        far_a:write("a", i, "\n")
        nfl.schedule(reader)
        far_b:write("b", i, "\n")
        nfl.schedule(reader, false, "no error")
      end
      far_a:close()
      far_b:close()
    end)
    nfl.client_eventloop()
    t.eq(#lines, 2 * count)
    for i = 1, count do
      t.eq(lines[2 * i - 1], "a" .. i)
      t.eq(lines[2 * i], "b" .. i)
    end
    t.eq(#logged, 0, logged[1])
  end)
end

both("row 6: a read ends at its deadline, and goes on after it", function(make)
  local near, far = make()
  near:settimeout(0.01)
  local line, message, number = near:read("l")
  t.eq(line, nil)
  t.eq(message, "timed out")
  t.eq(number, errno.ETIMEDOUT)
  near:settimeout(nil)
  line, message, number = hawser.with_timeout(0.01, near.read, near, "l")
  t.eq(line, nil)
  t.eq(message, "timed out")
  t.eq(number, errno.ETIMEDOUT)
  far:write("late\n")
  t.eq(near:read("l"), "late")
  drop(near, far)
end)

for _, make in ipairs { resettable_pair, resettable_tls_pair } do
  t.task("row 6: a reset is an error and no end of the data, " .. (make == resettable_pair and "TCP" or "TLS"), function()
    local near, _, reset = make()
    reset()
    local all, message, number = near:read("a")
    t.eq(all, nil)
    t.ok(message:find("reset"), message)
    t.eq(number, errno.ECONNRESET)
    near:abort()
  end)
end

both("row 7: more than fits into the buffers goes to a reader that is slow", function(make)
  local near, far = make()
  local size = 24 * 1024 * 1024
  local text = ("0123456789abcdef"):rep(size / 16)
  local writer = hawser.spawn(function()
    t.eq(near:write(text), near)
    near:close()
  end)
  settle()
  t.eq(writer:status(), "waiting")
  local have, pieces = 0, 0
  while true do
    local piece = far:read(100000)
    if not piece then break end
    if piece ~= text:sub(have + 1, have + #piece) then error("another piece at " .. have) end
    have, pieces = have + #piece, pieces + 1
    if pieces % 10 == 0 then hawser.yield() end
  end
  t.eq(have, size)
  far:close()
  t.ok(writer:join())
end)

both("row 8: what was sent before a close is there", function(make)
  for _, size in ipairs { 0, 1, 100, 20000, 300000 } do
    local near, far = make()
    hawser.spawn(function()
      far:write("reply\n", ("x"):rep(size))
      far:close()
    end)
    settle()
    t.eq(near:read("l"), "reply")
    t.eq(near:read("a"), ("x"):rep(size))
    t.eq(near:read("a"), "")
    near:close()
  end
end)

t.task("row 8: what was sent before a FIN, in one segment with it or not", function()
  local near, far = t.pair()
  far:write("reply")
  far:shutdown()
  settle()
  t.eq(near:read("l"), "reply")
  t.eq(near:read("l"), nil)
  -- The other direction is open still.
  t.ok(near:write("thanks\n"))
  t.eq(far:read("l"), "thanks")
  drop(near, far)
end)

for _, make in ipairs { resettable_pair, resettable_tls_pair } do
  t.task("row 8: what was sent before a reset is there, and then the error, " .. (make == resettable_pair and "TCP" or "TLS"), function()
    local near, far, reset = make()
    far:write("reply\n")
    reset()
    settle()
    t.eq(near:read("l"), "reply")
    local rest, message, number = near:read("l")
    t.eq(rest, nil)
    t.ok(message:find("reset"), message)
    t.eq(number, errno.ECONNRESET)
    near:abort()
  end)
end

both("row 9: the end comes while the task waits elsewhere", function(make)
  local near, far = make()
  local body = ("body "):rep(10000)
  local gone = hawser.channel(1)
  hawser.spawn(function()
    far:write("HTTP/1.1 200 OK\r\nA: b\r\n\r\nline 1\nline 2\r\n", body)
    hawser.spawn(far.close, far)
    gone:send(true)
  end)
  gone:receive()
  settle()
  t.eq(near:read("h"), "HTTP/1.1 200 OK\r\nA: b\r\n\r\n")
  t.eq(near:read("l"), "line 1")
  hawser.sleep(0.001)
  t.eq(near:read("l"), "line 2")
  t.eq(near:read("a"), body)
  near:close()
end)

t.task("row 10: a refused connection says so", function()
  local door = t.ok(hawser.tcp.listen("127.0.0.1", 0))
  local at = door:address()
  door:close()
  for _, connect in ipairs { hawser.tcp.connecta, hawser.tls.connecta, compat.tcp.connecta, compat.tls.connecta } do
    local line, message, number = connect(at, connect ~= hawser.tcp.connecta and connect ~= compat.tcp.connecta and "localhost" or nil)
    t.eq(line, nil)
    t.ok(message:find(tostring(at), 1, true), message)
    t.eq(number, errno.ECONNREFUSED)
  end
end)

t.task("row 10: a handshake that fails is a connect that fails", function()
  for script, cause in pairs {
    [function(far) far:write("this is not TLS\n") far:read("b") far:close() end] = "handshake",
    [function(far) far:read("b") far:close() end] = "closed the connection during the TLS handshake",
    [function(far) hawser.tls.accept(far, hawser.tls.server_config { cert_file = certs .. "/expired.pem", key_file = certs .. "/expired.key" }) end] =
      "expired",
    [function(far) hawser.tls.accept(far, hawser.tls.server_config { cert_file = certs .. "/wrong-name.pem", key_file = certs .. "/wrong-name.key" }) end] =
      "not present in server certificate",
  } do
    local door = t.ok(hawser.tcp.listen("127.0.0.1", 0))
    hawser.spawn(function() script(t.ok(door:accept())) end)
    local line, message, number = hawser.tls.connecta(door:address(), "localhost", trust)
    t.eq(line, nil)
    t.ok(message:find(cause), message)
    t.eq(type(number), "number")
    door:close()
  end
end)

both("row 11: a stream that was forgotten is collected without waiting, and its peer sees the end", function(make)
  -- Errors of finalizers are warnings in Lua 5.4, and are raised by LuaJIT.
  if warn then warn("@on") end
  local near, far = make()
  near:write("last words\n")
  near = nil
  collect()
  t.eq(far:read("l"), "last words")
  local rest, _, number = far:read("a")
  t.eq(rest, "")
  -- TLS tells that nobody has said goodbye.
  t.eq(number, far:is_tls() and errno.EPROTO or nil)
  far:close()
end)

both("row 11: and while it is being written to", function(make)
  local near, far = make()
  local text = ("x"):rep(8 * 1024 * 1024)
  local function start(line) return hawser.spawn(function() return line:write(text) and true end) end
  local writer = start(near)
  near = nil  -- luacheck: ignore
  settle()
  collect()
  t.eq(far:read(#text) == text, true)
  t.ok(writer:join())
  writer = nil  -- luacheck: ignore
  settle()
  collect()
  t.eq(far:read("b"), nil)
  far:abort()
end)

both("row 12: pcall, xpcall, iterators and metamethods around operations that wait", function(make)
  local near, far = make()
  local sent = hawser.spawn(function()
    for i = 1, 6 do
      settle()
      far:write("line ", i, "\n")
    end
    far:close()
  end)
  local ok, line = pcall(near.read, near, "l")
  t.eq(ok, true)
  t.eq(line, "line 1")
  ok, line = xpcall(function() return pcall(function() return near:read("l") end) end, debug.traceback)
  t.eq(ok, true)
  t.eq(line, true)
  local proxy = setmetatable({}, { __index = function(_, format) return near:read(format) end })
  t.eq(proxy.l, "line 3")
  local seen = {}
  for each in near:lines() do seen[#seen + 1] = each end
  t.eq(table.concat(seen, ","), "line 4,line 5,line 6")
  near:close()
  t.ok(sent:join())
end)

both("row 13: reading all costs one string and no Lua code", function(make)
  local near, far = make()
  local size = 8 * 1024 * 1024
  local text = ("y"):rep(size)
  hawser.spawn(function()
    far:write(text)
    far:close()
  end)
  hawser.yield()
  collect()
  collectgarbage("stop")
  local before = collectgarbage("count")
  local all = near:read("a")
  local grown = (collectgarbage("count") - before) * 1024
  collectgarbage("restart")
  t.eq(#all, size)
  t.ok(grown < 1.5 * size, grown)
  near:close()
end)

both("row 14: lines and headers have a limit", function(make)
  for format, text in pairs { l = ("x"):rep(70000), h = ("A: b\r\n"):rep(20000) } do
    local near, far = make()
    local writer = hawser.spawn(function()
      far:write(text)
      far:close()
    end)
    local first, message, number = near:read(format)
    t.eq(first, nil)
    t.ok(message:find("limit"), message)
    t.eq(number, errno.EMSGSIZE)
    near:close()
    writer:join()
  end
  local near, far = make()
  near:setlimits { line = 10 }
  far:write("0123456789\n01234567890\n")
  t.eq(near:read("l"), "0123456789")
  t.eq(select(3, near:read("l")), errno.EMSGSIZE)
  drop(near, far)
end)

t.task("row 14: a body that was cut is given, and said to be cut", function()
  local near, far = t.tls_pair()
  far:write("half of the body")
  far:abort()
  local all, message, number = near:read("a")
  t.eq(all, "half of the body")
  t.ok(message:find("truncated"), message)
  t.eq(number, errno.EPROTO)
  t.eq(near:read("a"), "")
  near:close()
  near, far = t.tls_pair()
  near:setlimits { strict = true }
  far:write("half")
  far:abort()
  local partial
  all, message, number, partial = near:read("a")
  t.eq(all, nil)
  t.ok(message:find("truncated"), message)
  t.eq(number, errno.EPROTO)
  t.eq(partial, "half")
  near:close()
end)

t.task("row 14: close has a deadline of its own", function()
  -- The peer reads nothing, and the buffers are full.
  local near, far = t.tls_pair()
  near:settimeout(0.05)
  local written, _, number = near:write(("x"):rep(32 * 1024 * 1024))
  t.eq(written, nil)
  t.eq(number, errno.ETIMEDOUT)
  near:close()
  t.eq(near:is_open(), false)
  far:abort()
end)

local function descriptors()
  local stat = assert(io.open("/proc/self/stat"))
  local pid = stat:read("*l"):match("^%d+")
  stat:close()
  local list = assert(io.popen("ls /proc/" .. pid .. "/fd"))
  local _, count = list:read("*a"):gsub("\n", "")
  list:close()
  return count
end

t.test("row 14: a TLS connect that fails leaves no descriptor behind", function()
  local function fail(count)
    for _ = 1, count do
      hawser.run(function()
        local door = t.ok(hawser.tls.listen("127.0.0.1", 0, own))
        local server = hawser.spawn(function()
          local far = door:accept()
          if far then far:abort() end
        end)
        t.eq(hawser.tls.connecta(door:address(), "other.example", trust), nil)
        server:join()
        door:close()
      end)
    end
  end
  fail(1)
  collect()
  local before = descriptors()
  collectgarbage("stop")
  fail(10)
  -- The kernel closes the last one in its own time.
  local after = descriptors()
  for _ = 1, 500 do
    if after == before then break end
    hawser.sleep(0.002)
    after = descriptors()
  end
  collectgarbage("restart")
  t.eq(after, before)
end)

t.test("row 15: a coroutine that has ended is not scheduled", function()
  local ended = nfl.spawn(function() end)
  local failed = nfl.spawn(function() error("it ends so") end)
  local woken = {}
  nfl.spawn(function()
    settle()
    woken[1], woken[2] = nfl.schedule(ended, 1), nfl.schedule(failed, 2)
    woken[3] = nfl.schedule(coroutine.create(print), 3)
  end)
  t.eq(nfl.client_eventloop(), true)
  for i = 1, 3 do t.eq(woken[i], false) end
  t.eq(#logged, 1)
  t.ok(logged[1]:find("it ends so"), logged[1])
end)

t.test("row 15: nor one whose timer is late", function()
  local near, far = t.pair()
  nfl.spawn(function()
    nfl.timeout(0.001, "timer")
    near:close()
  end)
  nfl.spawn(function()
    hawser.sleep(0.01)
    far:close()
  end)
  t.eq(nfl.client_eventloop(), true)
end)

t.done()
