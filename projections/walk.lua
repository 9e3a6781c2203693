-- Walks the transactions in the order of the log, or backwards, over the smallest source that holds all that can match,
-- and returns those that meet the filter. Ends when it has enough, when nothing is left, or when it has looked at so many
-- that other clients have waited long enough.
-- ARGV[1]: the request as JSON (projections/walk.py). Returns: position reflected ('' when the generation is gone), 1
-- when nothing is left, position of the last candidate ('unbuilt' with the first '': it is not to be read yet), then
-- documents and the positions of their reversals in turn.
local DOCUMENTS_PER_BLOCK = 64
local REVERSALS_PER_BLOCK = 4096

local request = cjson.decode(ARGV[1])
local prefix, down, filter = request.prefix, request.descending, request.filter
local checkpoint, building_to = unpack(redis.call('HMGET', request.checkpoint, 'position', 'building_to'))
if not checkpoint then return {'', 1, ''} end
if building_to and tonumber(checkpoint) < tonumber(building_to) then return {'', 1, 'unbuilt'} end
local count = tonumber(redis.call('HGET', prefix .. 'o', 'count') or '0')

-- Documents beside each other are read together.
local block_read, block_documents
local function document(number)
  local block, index = math.floor((number - 1) / DOCUMENTS_PER_BLOCK), (number - 1) % DOCUMENTS_PER_BLOCK
  local key = prefix .. 'd:' .. block
  if block ~= block_read then
    block_read, block_documents = block, nil
    return redis.call('LINDEX', key, index)
  end
  block_documents = block_documents or redis.call('LRANGE', key, 0, -1)
  return block_documents[index + 1]
end

local function fields(line)
  return string.match(line, '^([^,]*),([^,]*),([^,]*),([^,]*),([^,]*)')
end

-- The first index from 0 of `length` whose value is not below the bound; values rise.
local function first_index(length, bound, value)
  local from, to = 0, length
  while from < to do
    local middle = math.floor((from + to) / 2)
    if value(middle) < bound then from = middle + 1 else to = middle end
  end
  return from
end

local function first_from(position)
  return 1 + first_index(count, position, function(index)
    return tonumber((select(5, fields(redis.call('LINDEX', prefix .. 'd:' .. math.floor(index / DOCUMENTS_PER_BLOCK),
      index % DOCUMENTS_PER_BLOCK)))))
  end)
end

local low, high = 1, count
if request.position_from and request.position_from > 1 then low = first_from(request.position_from) end
if request.position_to and request.position_to < tonumber(checkpoint) then
  high = first_from(request.position_to + 1) - 1
end

-- Sources: each a function that returns the next number, nil at the end --------------------------------------------

local function every_number()
  local number, step = low - 1, 1
  if down then number, step = high + 1, -1 end
  return function()
    number = number + step
    if number >= low and number <= high then return number end
  end
end

-- A rising list of numbers, in Redis or at hand, read in chunks from its end or its beginning.
local function opened(list, chunk)
  local function at(index)
    return tonumber(list.key and redis.call('LINDEX', list.key, index) or list.numbers[index + 1])
  end
  list.first = low <= 1 and 0 or first_index(list.length, low, at)
  list.last = high >= count and list.length - 1 or first_index(list.length, high + 1, at) - 1
  list.chunk, list.at = {}, 0
  function list.advance()
    if list.at == #list.chunk then
      if list.first > list.last then return false end
      local from, to = list.first, math.min(list.last, list.first + chunk - 1)
      if down then
        from, to = math.max(list.first, list.last - chunk + 1), list.last
        list.last = from - 1
      else
        list.first = to + 1
      end
      list.chunk, list.at = {}, 0
      local found = list.key and redis.call('LRANGE', list.key, from, to)
      for i = 1, to - from + 1 do
        list.chunk[down and to - from + 2 - i or i] = tonumber(found and found[i] or list.numbers[from + i])
      end
    end
    list.at = list.at + 1
    list.value = list.chunk[list.at]
    return true
  end
  return list
end

-- Lists merged by a heap; numbers that several have come once.
local function merged(source)
  local heap, chunk = {}, math.max(4, math.floor(256 / (#source.parts + 1)))

  local function sink(i)
    while true do
      local child = 2 * i
      if child > #heap then return end
      if child < #heap and (heap[child + 1].value < heap[child].value) ~= down then child = child + 1 end
      if (heap[child].value < heap[i].value) == down then return end
      heap[i], heap[child] = heap[child], heap[i]
      i = child
    end
  end

  local lists = {{numbers = source.numbers, length = #source.numbers}}
  for i = 1, #source.parts do
    local key = prefix .. source.parts[i]
    lists[i + 1] = {key = key, length = redis.call('LLEN', key)}
  end
  for i = 1, #lists do
    local list = opened(lists[i], chunk)
    if list.advance() then heap[#heap + 1] = list end
  end
  for i = math.floor(#heap / 2), 1, -1 do sink(i) end

  local previous
  return function()
    while #heap > 0 do
      local value = heap[1].value
      if not heap[1].advance() then
        heap[1] = heap[#heap]
        heap[#heap] = nil
      end
      sink(1)
      if value ~= previous then
        previous = value
        return value
      end
    end
  end
end

-- What there is to walk ----------------------------------------------------------------------------------------------

-- Adds the numbers of references from one text to another; false when they are too many.
local function add_references(numbers, from, to)
  local directory = prefix .. 'r'
  local segment = redis.call('ZREVRANGEBYLEX', directory, '[' .. from, '-', 'LIMIT', 0, 1)[1]
  while segment do
    local members = redis.call('ZRANGEBYLEX', directory .. ':' .. segment, '[' .. from, '(' .. to)
    for i = 1, #members do
      numbers[#numbers + 1] = tonumber(string.sub(members[i], -8), 16)
      if #numbers > request.numbers_max then return false end
    end
    segment = redis.call('ZRANGEBYLEX', directory, '(' .. segment, '(' .. to, 'LIMIT', 0, 1)[1]
  end
  return true
end

-- Returns how many a source has, nil when that is too much to look up.
local function measure(source)
  local size = 0
  source.numbers = {}
  for i = 1, #source.ids do
    for text in string.gmatch(redis.call('HGET', prefix .. source.ids[i][1], source.ids[i][2]) or '', '%d+') do
      source.numbers[#source.numbers + 1] = tonumber(text)
    end
  end
  for i = 1, #source.ranges do
    local from, to = source.ranges[i][1], source.ranges[i][2]
    -- A prefix ends where no text that begins with it can be.
    if not add_references(source.numbers, from, to or (from .. '\255')) then return nil end
  end
  table.sort(source.numbers)
  for i = 1, #source.parts do size = size + redis.call('LLEN', prefix .. source.parts[i]) end
  return size + #source.numbers
end

local function choose()
  local chosen, smallest = nil, high - low + 1
  for i = 1, #request.sources do
    local size = measure(request.sources[i])
    if size and size < smallest then chosen, smallest = request.sources[i], size end
  end
  return chosen and merged(chosen) or every_number()
end

-- The filter ---------------------------------------------------------------------------------------------------------

local function folded_reference(line)
  local at = string.find(line, '=', 1, true)
  if not at then return nil end
  local length, texts = string.match(line, '^=(%d*)=(.*)$', at)
  if length == '' then return string.lower(texts) end
  return string.sub(texts, tonumber(length) + 1)
end

local function begins_with(text, prefixes)
  for i = 1, #prefixes do
    if string.sub(text, 1, #prefixes[i]) == prefixes[i] then return true end
  end
  return false
end

local function accepted(line, code, account, order, amount)
  if filter.types and not filter.types[code] then return false end
  if filter.accounts and not filter.accounts[account] then return false end
  if filter.order and order ~= filter.order then return false end
  if filter.amount_min and tonumber(amount) < filter.amount_min then return false end
  if filter.amount_max and tonumber(amount) > filter.amount_max then return false end
  local text = filter.text
  if not (filter.reference or filter.prefixes or text) then return true end
  local reference = folded_reference(line)
  if filter.reference and reference ~= filter.reference then return false end
  if filter.prefixes and not (reference and begins_with(reference, filter.prefixes)) then return false end
  return not text or text.orders[order] or text.accounts[account]
    or (reference and begins_with(reference, text.prefixes)) or false
end

-- The walk -----------------------------------------------------------------------------------------------------------

local next_number, answer, looked_at = choose(), {checkpoint, 1, ''}, 0
while true do
  if looked_at >= request.budget or (#answer - 3) / 2 >= request.want then
    answer[2] = 0
    return answer
  end
  local number = next_number()
  if not number then return answer end
  looked_at = looked_at + 1
  local line = document(number)
  if not line then return redis.error_reply('DAMAGED a document is missing') end
  local code, account, order, amount, position = fields(line)
  answer[3] = position
  if accepted(line, code, account, order, amount) then
    local block = string.format('%d', math.floor(tonumber(position) / REVERSALS_PER_BLOCK))
    answer[#answer + 1] = line
    answer[#answer + 1] = redis.call('HGET', prefix .. 'v:' .. block, position) or ''
  end
end
