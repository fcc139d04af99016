local annotations = obj.metadata.annotations or {}
local value = annotations["iodm.dev/paused"]
local paused = value ~= nil and value ~= "false"
return {
  ["pause"] = {["disabled"] = paused},
  ["resume"] = {["disabled"] = not paused},
  ["retry"] = {["disabled"] = false},
}
