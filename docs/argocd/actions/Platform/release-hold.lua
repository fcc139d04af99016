-- Lets the deletions go that the hold of now names. Those asked for later stay held.
if obj.status ~= nil and obj.status.hold ~= nil then
  obj.metadata.annotations = obj.metadata.annotations or {}
  obj.metadata.annotations["iodm.dev/release-hold"] = obj.status.hold.id
end
return obj
