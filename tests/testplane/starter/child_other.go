//go:build !linux

package main

import "syscall"

// endsWithParent: other systems have no parent-death signal; the starter's own end still stops the child.
func endsWithParent() *syscall.SysProcAttr {
	return nil
}
