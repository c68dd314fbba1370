-- ios:write(), its buffers, and the ways in which a stream ends.

local hawser = require "hawser"
local t = require "harness"
local errno = hawser.errno

-- Fails unless these are nil, a message and this number.
local function fails(number, value, message, got)
  if value ~= nil or type(message) ~= "string" or got ~= number then
    error(("%s, %s, %s and not nil, a message, %s"):format(tostring(value), tostring(message), tostring(got), tostring(number)), 2)
  end
  return message
end

-- Reads to the end and closes: close() waits for the other side, with a limit.
local function drain(far)
  return hawser.spawn(function()
    local text = far:read("a")
    far:close()
    return text
  end)
end

-- Whether nothing has come. A line that does come shows that nothing came before it.
local function got_only(far, near, text)
  near:setvbuf("no")
  near:write("|\n")
  t.eq(far:read("l"), text .. "|")
end

t.task("strings and numbers, and the stream itself as the result", function()
  local near, far = t.pair()
  t.eq(near:write("a", 1, "", "b", 2.5, "\n"), near)
  t.eq(far:read("l"), "a1b2.5")
  t.eq(near:write(), near)
  t.eq(near:write(""), near)
  t.eq(near:write(7), near)
  t.eq(far:read(1), "7")
  t.eq(near:write("x"):write("y\n"), near)
  t.eq(far:read("l"), "xy")
  for _, bad in ipairs { {}, true, print, near } do t.raises("bad argument", near.write, near, "text", bad) end
  t.raises("bad argument", near.write, near, nil)
  t.raises("ios", near.write, {}, "x")
  local read, written = near:counters()
  t.eq(read, 0)
  t.eq(written, 11)
  read, written = far:counters()
  t.eq(read, 11)
  t.eq(written, 0)
end)

t.task("full: what is kept goes when there is enough, or at flush", function()
  local near, far = t.pair()
  t.eq(near:setvbuf("full", 10), near)
  near:write("line\n")
  t.eq(select(2, near:counters()), 0)
  near:write("four")
  t.eq(select(2, near:counters()), 0)
  near:write("5")
  t.eq(far:read(10), "line\nfour5")
  near:write("rest")
  t.eq(near:flush(), near)
  t.eq(far:read(4), "rest")
  t.eq(near:flush(), near)
  got_only(far, near, "")
end)

t.task("line: what is kept goes with the end of a line", function()
  local near, far = t.pair()
  near:setvbuf("line")
  near:write("one ", "two")
  t.eq(select(2, near:counters()), 0)
  near:write(" three\nfour")
  t.eq(far:read("l"), "one two three")
  t.eq(far:read(4), "four")
  near:write("kept")
  t.eq(select(2, near:counters()), 18)
  got_only(far, near, "kept")
end)

t.task("a read sends first what is kept", function()
  local near, far = t.pair()
  hawser.spawn(function()
    local line = far:read("l")
    far:write(line, " back\n")
  end)
  near:setvbuf("full")
  near:write("there\n")
  t.eq(near:read("l"), "there back")
end)

t.task("a read that need not wait sends it too", function()
  local near, far = t.pair()
  far:write("one\ntwo\n")
  t.eq(near:read("l"), "one")
  near:setvbuf("full")
  near:write("sent\n")
  t.eq(near:read("l"), "two")
  t.eq(far:read("l"), "sent")
end)

t.task("a writer with a buffer is not disturbed by a reader", function()
  local near, far = t.pair()
  local big = ("x"):rep(500000)
  near:setvbuf("full", 1000000)
  near:write(big)
  local reader = hawser.spawn(function() return near:read("l") end)
  hawser.yield()  -- the reader sends now, more than the kernel takes
  t.eq(near:write("after\n"), near)
  local echo = hawser.spawn(function()
    t.eq(far:read(#big), big)
    t.eq(far:read("l"), "after")
    far:write("answer\n")
  end)
  local _, line = reader:join()
  t.eq(line, "answer")
  echo:join()
end)

t.task("setvbuf refuses what it does not know", function()
  local near = t.pair()
  t.raises("invalid option", near.setvbuf, near, "some")
  t.raises("bad argument", near.setvbuf, near)
  t.raises("bad argument", near.setvbuf, near, "full", 0)
  t.raises("bad argument", near.setvbuf, near, "full", 2 ^ 30)
end)

t.task("close sends what is kept", function()
  local near, far = t.pair()
  near:setvbuf("full")
  near:write("last words")
  local peer = drain(far)
  t.eq(near:close(), true)
  t.eq(select(2, peer:join()), "last words")
end)

local function sum(text, into)
  for i = 1, #text, 997 do into = (into * 31 + text:byte(i)) % 1000003 end
  return into
end

local function big_write(near, far)
  local piece = {}
  for i = 1, 4096 do piece[i] = ("%08d"):format(i * 7919 % 100000000) end
  local text = table.concat(piece):rep(160)  -- 5 MiB
  local writer = hawser.spawn(function()
    t.eq(near:write(text), near)
    t.eq(near:shutdown(), true)
  end)
  local parts, size = {}, 0
  while size < #text do
    local part = far:read("b")
    if not part then break end
    size = size + #part
    parts[#parts + 1] = part
    if #parts % 8 == 0 then hawser.yield() end
  end
  t.eq(size, #text)
  t.eq(sum(table.concat(parts), 1), sum(text, 1))
  t.eq(far:read("b"), nil)
  t.ok(writer:join())
end

t.task("five MiB to a slow reader", function() big_write(t.pair()) end)
t.task("five MiB to a slow reader over TLS", function()
  local near, far = t.tls_pair()
  big_write(near, far)
end)

t.task("one writer and one reader at a time", function()
  local near, far = t.pair()
  local text = ("y"):rep(8000000)
  local writer = hawser.spawn(function() return near:write(text) end)
  local reader = hawser.spawn(function() return near:read("l") end)
  hawser.yield()
  fails(errno.EBUSY, near:write("x"))
  fails(errno.EBUSY, near:shutdown())
  fails(errno.EBUSY, near:read("l"))
  fails(errno.EBUSY, hawser.tls.handshake(near, "localhost"))
  t.eq(#far:read(#text), #text)
  far:write("line\n")
  local _, written = writer:join()
  t.eq(written, near)
  t.eq(select(2, reader:join()), "line")
  t.eq(near:write("x"), near)
end)

t.task("a write may follow the peer's end", function()
  local near, far = t.pair()
  t.eq(far:shutdown(), true)
  t.eq(near:read("a"), "")
  t.eq(near:write("still here\n"), near)
  t.eq(far:read("l"), "still here")
  fails(errno.EBADF, far:write("x"))
end)

t.task("shutdown over TLS", function()
  local near, far = t.tls_pair()
  near:write("all")
  t.eq(near:shutdown(), true)
  t.eq(far:read("a"), "all")
  t.eq(far:read("a"), "")
  far:close()
  near:close()
end)

t.task("shutdown sends what is kept", function()
  local near, far = t.pair()
  near:setvbuf("full")
  near:write("kept")
  t.eq(near:shutdown(), true)
  t.eq(far:read("a"), "kept")
end)

t.task("a write to a connection that is no more", function()
  local near, far = t.pair()
  far:abort()
  local number
  for _ = 1, 1000 do
    local done, _, why = near:write("x")
    number = why
    if not done then break end
    hawser.yield()
  end
  t.ok(number == errno.EPIPE or number == errno.ECONNRESET, number)
end)

t.task("a time limit for a write", function()
  local near, far = t.pair()
  near:settimeout(nil, 0.01)
  local message = fails(errno.ETIMEDOUT, near:write(("z"):rep(2 ^ 23)))
  t.ok(message:find "timed out", message)
  t.ok(far)
end)

for _, kind in ipairs { "pair", "tls_pair" } do
  t.task("close again is true, and all else says that it is closed: " .. kind, function()
    local near, far = t[kind]()
    local name = near:peer_name()
    local peer = drain(far)
    t.eq(near:close(), true)
    t.eq(near:close(), true)
    t.eq(near:is_open(), false)
    t.eq(near:fileno(), -1)
    fails(errno.EBADF, near:read("l"))
    fails(errno.EBADF, near:write("x"))
    fails(errno.EBADF, near:flush())
    fails(errno.EBADF, near:shutdown())
    fails(errno.EBADF, near:setvbuf("no"))
    fails(errno.EBADF, hawser.tls.handshake(near, "localhost"))
    near:abort()
    t.eq(near:peer_name(), name)
    t.eq(tostring(near:remote()), name)
    t.eq(near:is_idle(), false)
    t.ok(tostring(near):find "closed")
    t.eq(select(2, peer:join()), "")
  end)

  t.task("close wakes who reads or writes: " .. kind, function()
    local near, far = t[kind]()
    local reader = hawser.spawn(function() return near:read("l") end)
    local writer = hawser.spawn(function() return near:write(("w"):rep(2 ^ 23)) end)
    hawser.yield()
    hawser.yield()
    local closer = hawser.spawn(near.close, near)
    fails(errno.ECANCELED, select(2, reader:join()))
    fails(errno.ECANCELED, select(2, writer:join()))
    far:abort()
    closer:join()
    t.eq(near:is_open(), false)
  end)

  t.task("abort wakes who reads or writes: " .. kind, function()
    local near, far = t[kind]()
    local reader = hawser.spawn(function() return near:read("a") end)
    local writer = hawser.spawn(function() return near:write(("w"):rep(2 ^ 23)) end)
    hawser.yield()
    hawser.yield()
    near:abort()
    fails(errno.ECANCELED, select(2, reader:join()))
    fails(errno.ECANCELED, select(2, writer:join()))
    t.ok(far)
  end)
end

t.task("a task that was stopped can close", function()
  for _, kind in ipairs { "pair", "tls_pair" } do
    local near, far = t[kind]()
    local open
    local task = hawser.spawn(function()
      far:read("l")
      far:close()
      open = far:fileno()
    end)
    hawser.yield()
    task:cancel()
    task:join()
    t.eq(open, -1, kind)
    local data, _, number = near:read("a")
    t.ok(data == "" or number == errno.ECONNRESET, number)
  end
end)

t.task("seek is not for streams", function()
  local near = t.pair()
  fails(errno.ESPIPE, near:seek())
  fails(errno.ESPIPE, near:seek("set", 0))
end)

t.test("without a task", function()
  local near, far = t.pair()
  near:setvbuf("full")
  near:write("kept\n")
  t.eq(near:flush(), near)
  t.eq(far:read("l"), "kept")
  t.eq(near:shutdown(), true)
  t.eq(far:read("a"), "")
  t.eq(far:close(), true)
  t.eq(near:close(), true)
end)

-- LuaJIT cannot read <close>.
if not t.jit then
  local leave = load [[
    local line, how = ...
    local held <close> = line
    line:write("in scope\n")
    if how == "error" then error("on purpose") end
    return how
  ]]

  t.task("a variable declared <close> closes its stream", function()
    local near, far = t.pair()
    local peer = drain(far)
    t.eq(leave(near, "fine"), "fine")
    t.eq(near:is_open(), false)
    t.eq(select(2, peer:join()), "in scope\n")
    near, far = t.tls_pair()
    peer = drain(far)
    t.raises("on purpose", leave, near, "error")
    t.eq(near:is_open(), false)
    t.eq(select(2, peer:join()), "in scope\n")
  end)

  t.task("a <close> variable of a listener and of a channel", function()
    local door, channel = hawser.tcp.listen("127.0.0.1", 0), hawser.channel(1)
    load("local a, b = ... local door <close> = a local channel <close> = b")(door, channel)
    t.eq(door:is_open(), false)
    t.eq(channel:is_closed(), true)
  end)

  t.test("a <close> variable outside of a task", function()
    local near, far = t.pair()
    local peer = drain(far)
    leave(near)
    t.eq(near:is_open(), false)
    t.eq(select(2, peer:join()), "in scope\n")
  end)

  t.task("where nothing can wait the stream is dropped", function()
    local near, far = t.pair()
    table.sort({ 2, 1 }, load([[
      local line = ...
      return function(a, b)
        local held <close> = line
        return a < b
      end
    ]])(near))
    t.eq(near:is_open(), false)
    t.eq(far:read("a"), "")
  end)

  local holds = load [[
    local line, yield = ...
    local held <close> = line
    yield()
  ]]

  t.task("closing a coroutine closes its stream", function()
    for _, library in ipairs { coroutine, hawser.coroutine } do
      local near, far = t.pair()
      local co = library.create(holds)
      t.ok(library.resume(co, near, library.yield))
      t.eq(near:is_open(), true)
      t.eq(library.close(co), true)
      t.eq(near:is_open(), false)
      t.eq(far:read("a"), "")
    end
  end)
end

t.done()
