module versionpackage.iodm.dev/starter

go 1.26.0
