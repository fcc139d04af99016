if obj.metadata.annotations ~= nil then
  obj.metadata.annotations["iodm.dev/paused"] = nil
  -- Argo CD takes an empty table for no change.
  if next(obj.metadata.annotations) == nil then
    obj.metadata.annotations = nil
  end
end
return obj
