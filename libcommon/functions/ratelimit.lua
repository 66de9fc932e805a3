#!lua name=souk_ratelimit

-- GCRA, the generic cell rate algorithm (ITU-T I.371), over one key that holds the
-- theoretical arrival time in microseconds of the server's clock. Keys expire by themselves
-- when their burst is whole again.
-- KEYS[1] the counter; ARGV[1] requests a minute, ARGV[2] burst.
-- Returns {allowed 0|1, remaining, milliseconds until the burst is whole, milliseconds to wait}.
local function take(keys, args)
  local interval = 60000000 / tonumber(args[1])
  local burst = tonumber(args[2])
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local arrival = math.max(tonumber(redis.call('GET', keys[1]) or now), now)
  local allow_at = arrival + interval - interval * burst
  if now < allow_at then
    return {0, 0, math.ceil((arrival - now) / 1000), math.ceil((allow_at - now) / 1000)}
  end
  arrival = arrival + interval
  local whole_ms = math.ceil((arrival - now) / 1000)
  redis.call('SET', keys[1], string.format('%.0f', arrival), 'PX', math.max(whole_ms, 1))
  return {1, math.floor(burst - (arrival - now) / interval), whole_ms, 0}
end

redis.register_function('souk_gcra', take)
