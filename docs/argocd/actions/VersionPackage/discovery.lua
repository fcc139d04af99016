local annotations = obj.metadata.annotations or {}
local paused = annotations["iodm.dev/paused"] == "true"
return {
  ["pause"] = {["disabled"] = paused},
  ["resume"] = {["disabled"] = not paused},
  ["retry"] = {["disabled"] = false},
}
