-- Tries again at once, instead of after the pause of a failure.
local os = require("os")
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["iodm.dev/requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
