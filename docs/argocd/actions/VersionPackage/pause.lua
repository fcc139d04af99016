-- No deletion of this package is sent until it is resumed.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["iodm.dev/paused"] = "true"
return obj
