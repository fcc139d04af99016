local held = obj.status ~= nil and obj.status.hold ~= nil
return {["release-hold"] = {["disabled"] = not held}}
