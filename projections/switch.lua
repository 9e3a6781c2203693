-- Makes a filled generation live in place of another one, if that one still is, and the new one is there.
-- KEYS: pointer, checkpoint of the new generation. ARGV: new generation, generation it replaces ('' for none).
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] or redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
