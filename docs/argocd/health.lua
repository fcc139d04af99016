-- The health of a VersionPackage and of a Platform. Both follow kstatus: Ready always, Reconciling or Stalled while true.
-- It needs no library, so it works without useOpenLibs.
local function condition(name)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, c in ipairs(obj.status.conditions) do
      if c.type == name then
        return c
      end
    end
  end
  return nil
end

local ready = condition("Ready")
local stalled = condition("Stalled")
if stalled ~= nil and stalled.status ~= "True" then
  stalled = nil
end

if obj.metadata.deletionTimestamp ~= nil then
  local health = {status = "Progressing", message = "Pending deletion"}
  if ready ~= nil and ready.status ~= "True" then
    health.message = health.message .. ": " .. ready.message
  end
  if stalled ~= nil then
    health.status = "Degraded"
  end
  return health
end

if ready == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator"}
end

-- Nothing is wrong: a person, or a rule that a person made, holds the deletion.
local holds = {GracePeriod = true, MassDeletionHeld = true, Paused = true, WouldDelete = true}
if holds[ready.reason] then
  return {status = "Suspended", message = ready.message}
end
if stalled ~= nil then
  return {status = "Degraded", message = stalled.message}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return {status = "Progressing", message = ready.message}
