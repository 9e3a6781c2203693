-- Makes a filled generation live in place of another one, if that one still is, and the new one is there. Returns 1 when
-- it is done, 0 when it cannot be, -1 when readers would be taken back, as the other one is further by now.
-- KEYS: pointer, checkpoints of the new generation and of the other one. ARGV: new generation, generation it replaces (''
-- for none), 1 to switch even so.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then
  return 0
end
local new = redis.call('HGET', KEYS[2], 'position')
if not new then
  return 0
end
local other = redis.call('HGET', KEYS[3], 'position')
if other and tonumber(other) > tonumber(new) and ARGV[3] ~= '1' then
  return -1
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
