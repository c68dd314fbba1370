-- What the example programs share: their options, lists in files, directories, and Ctrl-C.

local hawser = require "hawser"

local command_line = {}

--- Says what is wrong with the command line, and ends the program with status 2.
function command_line.refuse(usage, what)
  io.stderr:write(what, "\n", usage:match("^[^\n]*"), "\nTry --help.\n")
  os.exit(2, true)
end

-- The value of an option as it is used, or nil and what it should be.
local function value_of(text, rule)
  if not rule.least then return text end
  local number = tonumber(text)
  if not number or number < rule.least or number > rule.most or rule.whole and number % 1 ~= 0 then
    return nil, ("a %snumber from %s to %s"):format(rule.whole and "whole " or "", rule.least, rule.most)
  end
  return number
end

--- Reads the arguments of the program: a table of options by name, and a list of what is no option. `rules` has one entry
-- for each option, {default =, least =, most =, whole =, many =, needed =}: those with `least` are numbers, those with
-- `many` lists.
function command_line.read(usage, rules)
  local options, operands = {}, {}
  for name, rule in pairs(rules) do options[name] = rule.many and {} or rule.default end
  local i, only_operands = 1, false
  while arg[i] do
    local text = arg[i]
    local name, value = text:match("^%-%-([%w-]+)=(.*)$")
    name = name or text:match("^%-%-([%w-]+)$")
    if only_operands or text == "-" or text:sub(1, 1) ~= "-" then
      operands[#operands + 1] = text
    elseif text == "--" then
      only_operands = true
    elseif name == "help" then
      io.stdout:write(usage)
      os.exit(0, true)
    elseif not rules[name] then
      command_line.refuse(usage, "there is no option " .. text)
    else
      if not value then i, value = i + 1, arg[i + 1] end
      if not value then command_line.refuse(usage, text .. " needs a value") end
      local wanted
      value, wanted = value_of(value, rules[name])
      if not value then command_line.refuse(usage, ("--%s is %s, not %s"):format(name, wanted, arg[i])) end
      if rules[name].many then
        table.insert(options[name], value)
      else
        options[name] = value
      end
    end
    i = i + 1
  end
  for name, rule in pairs(rules) do
    if rule.needed and not options[name] then command_line.refuse(usage, "--" .. name .. " is needed") end
  end
  return options, operands
end

--- Appends the lines of a file to a list; "-" is the standard input. Blank lines and comments (#) do not count.
function command_line.read_list(usage, name, into)
  local file, message = io.stdin, nil
  if name ~= "-" then file, message = io.open(name) end
  if not file then command_line.refuse(usage, message) end
  for line in file:lines() do
    local text = line:match("^%s*(.-)%s*$")
    if text ~= "" and text:sub(1, 1) ~= "#" then into[#into + 1] = text end
  end
  if file ~= io.stdin then file:close() end
end

-- A command of the shell. Lua 5.4 gives true for one that succeeds, LuaJIT may give 0.
local function succeeds(command)
  local status = os.execute(command)
  return status == true or status == 0
end

--- Makes a directory, and those above it, unless it is there.
function command_line.make_directory(usage, name)
  if not succeeds("mkdir -p -- '" .. name:gsub("'", "'\\''") .. "'") then command_line.refuse(usage, name .. " is no directory to write to") end
end

function command_line.on_terminal() return succeeds("test -t 2") end

--- Runs main() as a task. True: Ctrl-C stopped it.
function command_line.run(main)
  local ok, message = pcall(hawser.run, main)
  if ok then return false end
  -- This is what the programs lua and luajit raise.
  if tostring(message):find("interrupted!", 1, true) then return true end
  error(message, 0)
end

--- Calls work(item) for each of a list, in so many tasks. An error in one stops all.
function command_line.each(items, concurrency, work)
  local at = 0
  hawser.scope(function(group)
    for _ = 1, math.min(concurrency, #items) do
      group:spawn(function()
        while at < #items and not hawser.current():is_stopped() do
          at = at + 1
          work(items[at])
        end
      end)
    end
  end)
end

--- A function that gives each name back as it was the first time, and then as NAME.2, NAME.3, ... `suffixes`: of other files
-- that belong to a name.
function command_line.unique_names(suffixes)
  local taken = {}
  return function(wanted)
    local name, number = wanted, 1
    while taken[name] do
      number = number + 1
      name = wanted .. "." .. number
    end
    taken[name] = true
    for _, suffix in ipairs(suffixes) do taken[name .. suffix] = true end
    return name
  end
end

--- What programs do that fetch `urls`: adds those of options.input, makes options.output, and gives a config of
-- options.cacert, or nothing for the system's authorities.
function command_line.prepare(usage, options, urls)
  if options.input then command_line.read_list(usage, options.input, urls) end
  if #urls == 0 then command_line.refuse(usage, "no URL") end
  command_line.make_directory(usage, options.output)
  if not options.cacert then return nil end
  local config, message = hawser.tls.config { ca_file = options.cacert }
  if not config then command_line.refuse(usage, message) end
  return config
end

return command_line
